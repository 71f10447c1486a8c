"""A repository or folder in Transformers' format becomes a detector; none of its code is run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import transformers

from mfd.detectors.hf.detector import TransformersDetector
from mfd.detectors.hf.families import FAMILIES, Family
from mfd.detectors.hf.preprocessing import read_preprocessing
from mfd.detectors.hf.prompts import fix_prompts
from mfd.detectors.hf.quiet import quiet_transformers
from mfd.detectors.hf.snapshot import (
    CONFIG,
    PREPROCESSOR,
    PROCESSOR,
    UNLOADABLE,
    WEIGHTS,
    WORDS,
    load_transformers,
    local_snapshot,
)
from mfd.detectors.hf.yolos import YolosDetector
from mfd.errors import DetectorError
from mfd.text import first_line, short, some

PREFIX = "hf:"


def load_hf(
    name: str, encoder_layer: int | None = None, prompts: Sequence[str] = ()
) -> TransformersDetector | YolosDetector:
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
    folder = local_snapshot(name.removeprefix(PREFIX))
    preprocessor = PROCESSOR if (folder / PROCESSOR).exists() else PREPROCESSOR
    for pattern in (CONFIG, preprocessor, WEIGHTS):
        if not any(folder.glob(pattern)):
            raise DetectorError(
                f"{name} has no {pattern}; expected {CONFIG}, {PREPROCESSOR} and weights saved "
                "by save_pretrained as safetensors, the image processor by its own save_pretrained "
                "into the same folder"
            )
    family = _family(name, folder / CONFIG)
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
    architecture = getattr(transformers, family.architecture)
    model = load_transformers(name, folder, architecture, family.unused)
    family = family.restored(model)
    if family.prompted:
        fix_prompts(name, model, _load_tokenizer(name, folder), prompts)
    detector = YolosDetector if family.query_tokens else TransformersDetector
    return detector(name, model, family, preprocessing, encoder_layer)


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


def _load_tokenizer(name: str, folder: Path) -> Any:
    if not any((folder / file).exists() for file in WORDS):  # Transformers makes an empty one
        raise DetectorError(
            f"{name} has no {' or '.join(WORDS)}, and needs its tokenizer to read prompts; save "
            "or download it into the same folder"
        )
    try:
        with quiet_transformers():
            return transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except UNLOADABLE as error:
        raise DetectorError(
            f"the tokenizer of {name} cannot be loaded: {first_line(error)}; download it again"
        ) from error
