"""A repository or folder in Transformers' format becomes a detector; none of its code is run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, StrictDataclassError
from safetensors import SafetensorError

from mfd.detectors.hf.detector import TransformersDetector
from mfd.detectors.hf.families import FAMILIES, Family
from mfd.detectors.hf.preprocessing import read_preprocessing
from mfd.detectors.hf.prompts import fix_prompts
from mfd.detectors.hf.quiet import quiet_transformers
from mfd.errors import DetectorError
from mfd.placeholders import refuse_placeholder
from mfd.text import first_line, short, some

PREFIX = "hf:"
_CONFIG, _WEIGHTS = "config.json", "*.safetensors"
_PREPROCESSOR, _PROCESSOR = "preprocessor_config.json", "processor_config.json"
_WORDS = ("tokenizer.json", "vocab.txt")
_TOKENIZER = (*_WORDS, "tokenizer_config.json", "special_tokens_map.json")
_UNLOADABLE = (  # what Transformers raises for damaged and for contradictory files
    OSError,
    ValueError,
    TypeError,
    KeyError,
    RuntimeError,
    SafetensorError,
    StrictDataclassError,
)


def load_hf(
    name: str, encoder_layer: int | None = None, prompts: Sequence[str] = ()
) -> TransformersDetector:
    """The detector on the CPU, in evaluation mode; freezing it is the caller's part.

    Args:
        name: `hf:` and a folder, or a repository on the Hugging Face Hub as owner/name. Either
            holds config.json, preprocessor_config.json (or, where a processor was saved,
            processor_config.json) and weights in safetensors files.
        encoder_layer: layer whose maps are returned (1-based); the family's by default.
        prompts: categories of a family that looks for what a text says; the folder holds its
            tokenizer too.

    Raises:
        DetectorError: it is not there, of a family mfd does not know, or not complete.
    """
    folder = _local_folder(name)
    preprocessor = _PROCESSOR if (folder / _PROCESSOR).exists() else _PREPROCESSOR
    for pattern in (_CONFIG, preprocessor, _WEIGHTS):
        if not any(folder.glob(pattern)):
            raise DetectorError(
                f"{name} has no {pattern}; expected {_CONFIG}, {_PREPROCESSOR} and weights saved "
                "by save_pretrained as safetensors"
            )
    for weights in folder.glob(_WEIGHTS):
        refuse_placeholder(weights, "weights", DetectorError)
    family = _family(name, folder / _CONFIG)
    preprocessing = read_preprocessing(
        folder / preprocessor,
        fixed_size=not family.sequence_encoder,
        normalised=family.normalised,
    )
    if prompts and not family.prompted:
        raise DetectorError(
            f"{name} finds what it was trained on, found prompts {some(map(short, prompts))}; "
            "leave them out"
        )
    model = _load_model(name, folder, family)
    family = family.restored(model)
    if family.prompted:
        fix_prompts(name, model, _load_tokenizer(name, folder), prompts)
    return TransformersDetector(name, model, family, preprocessing, encoder_layer)


def _local_folder(name: str) -> Path:
    """The folder, or the local copy of the repository, downloaded unless it is there already."""
    source = name.removeprefix(PREFIX)
    if source and (folder := Path(source).expanduser()).is_dir():
        return folder
    wanted = [_CONFIG, _PREPROCESSOR, _PROCESSOR, *_TOKENIZER, _WEIGHTS, f"{_WEIGHTS}.index.json"]
    try:
        return Path(snapshot_download(source, allow_patterns=wanted))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise DetectorError(
            f"{source!r} is not a folder, and no repository of that name is in the local cache or "
            f"could be downloaded ({type(error).__name__}); check the name, connect to the "
            "network, or download it elsewhere and give its folder"
        ) from error


def _family(name: str, config: Path) -> Family:
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DetectorError(f"{config} is not a JSON file: {error}; download it again") from error
    model_type = settings.get("model_type") if isinstance(settings, dict) else None
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        raise DetectorError(
            f"{name} is of model type {model_type!r}, mfd knows {', '.join(FAMILIES)}; provide "
            "a custom detector (path/to/file.py:function) for others"
        )
    return FAMILIES[model_type]


def _load_model(name: str, folder: Path, family: Family) -> Any:
    """The model with every weight from the folder, float32."""
    architecture = getattr(transformers, family.architecture)
    try:
        with quiet_transformers():
            model, loading = architecture.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except ImportError as error:
        raise DetectorError(
            f"{name} needs a package that is not installed: {first_line(error)}; for timm, "
            "install mfd with its extra, `pip install 'mfd[hf]'`"
        ) from error
    except _UNLOADABLE as error:
        raise DetectorError(
            f"{name} cannot be loaded: {first_line(error)}; download it again"
        ) from error
    absent = sorted(map(str, [*loading["missing_keys"], *loading["mismatched_keys"]]))
    absent = [key for key in absent if not key.startswith(family.unused)]
    if absent:
        raise DetectorError(
            f"{name} has no weights that fit {', '.join(absent[:3])}"
            f"{' and ' + str(len(absent) - 3) + ' more' if len(absent) > 3 else ''}; config.json "
            "and weights must be of one model"
        )
    return model.eval()


def _load_tokenizer(name: str, folder: Path) -> Any:
    if not any((folder / file).exists() for file in _WORDS):  # Transformers makes an empty one
        raise DetectorError(
            f"{name} has no {' or '.join(_WORDS)}, and needs its tokenizer to read prompts; save "
            "or download it into the same folder"
        )
    try:
        with quiet_transformers():
            return transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except _UNLOADABLE as error:
        raise DetectorError(
            f"the tokenizer of {name} cannot be loaded: {first_line(error)}; download it again"
        ) from error
