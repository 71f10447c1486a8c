"""Models as Transformers saves them, from a folder or the Hub; their code never runs."""

from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, StrictDataclassError
from safetensors import SafetensorError

from mfd.detectors.hf.quiet import quiet_transformers
from mfd.errors import DetectorError
from mfd.placeholders import refuse_placeholder
from mfd.text import first_line, some

CONFIG, WEIGHTS = "config.json", "*.safetensors"
PREPROCESSOR, PROCESSOR = "preprocessor_config.json", "processor_config.json"
WORDS = ("tokenizer.json", "vocab.txt")
TOKENIZER = (*WORDS, "tokenizer_config.json", "special_tokens_map.json")
UNLOADABLE = (  # what Transformers raises for damaged and for contradictory files
    OSError,
    ValueError,
    TypeError,
    KeyError,
    RuntimeError,
    SafetensorError,
    StrictDataclassError,
)


def local_snapshot(source: str) -> Path:
    """The folder, or the local copy of the repository, downloaded unless it is there already.

    Raises:
        DetectorError: there is neither.
    """
    if source and (folder := Path(source).expanduser()).is_dir():
        return folder
    wanted = [CONFIG, PREPROCESSOR, PROCESSOR, *TOKENIZER, WEIGHTS, f"{WEIGHTS}.index.json"]
    try:
        return Path(snapshot_download(source, allow_patterns=wanted))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise DetectorError(
            f"{source!r} is not a folder, and no repository of that name is in the local cache or "
            f"could be downloaded ({type(error).__name__}); check the name, connect to the "
            "network, or download it elsewhere and give its folder"
        ) from error


def load_transformers(
    name: str, folder: Path, architecture: Any, unused: tuple[str, ...] = ()
) -> Any:
    """The model with every weight from the folder, float32, in evaluation mode.

    Args:
        name: what errors call it.
        architecture: a model class of Transformers.
        unused: what the names of weights begin with that may be absent.

    Raises:
        DetectorError: files are absent or damaged, or weights do not fit.
    """
    for pattern in (CONFIG, WEIGHTS):
        if not any(folder.glob(pattern)):
            raise DetectorError(
                f"{name} has no {pattern}; expected {CONFIG} and weights saved by "
                "save_pretrained as safetensors"
            )
    for weights in folder.glob(WEIGHTS):
        refuse_placeholder(weights, "weights", DetectorError)
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
    except UNLOADABLE as error:
        raise DetectorError(
            f"{name} cannot be loaded: {first_line(error)}; download it again"
        ) from error
    absent = sorted(map(str, [*loading["missing_keys"], *loading["mismatched_keys"]]))
    absent = [key for key in absent if not key.startswith(unused)]
    if absent:
        raise DetectorError(
            f"{name} has no weights that fit {some(absent)}; config.json and weights must be of "
            "one model"
        )
    return model.eval()
