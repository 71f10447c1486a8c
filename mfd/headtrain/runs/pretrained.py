"""A trained head as a folder: `config.json` and `head.safetensors`, bound to its detector."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

import mfd
from mfd.detectors import DetectorSpec
from mfd.errors import ConfigError, DetectorError
from mfd.files import write_atomically
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.training.checkpoint import write_weights

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "head.safetensors"

# What the head's weights depend on, most telling first. Names, image sizes and numbers of
# detections may differ.
_BINDING = (
    "weights_digest",
    "encoder_layer",
    "code_version",
    "dim",
    "strides",
    "c1_channels",
    "c1_stride",
    "category_ids",
    "scores",
)


def save_head(folder: Path, head: MaskHead, categories: Mapping[int, str]) -> None:
    """Write the head's folder, the weights last, so that a folder with weights is complete.

    Args:
        categories: name of each category id, for labels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "mfd": mfd.__version__,
        "head": head.config.to_json(),
        "detector": head.spec.to_json(),
        "categories": {str(key): name for key, name in categories.items()},
    }
    text = json.dumps(config, indent=1, ensure_ascii=False) + "\n"
    write_atomically(folder / CONFIG_FILE, text.encode())
    write_weights(folder / WEIGHTS_FILE, head.state_dict())


def load_head(folder: Path, device: torch.device | str = "cpu") -> MaskHead:
    """The head of a folder that `save_head` wrote, in evaluation mode.

    Raises:
        ConfigError: no head is there, or its two files do not belong together.
    """
    config = read_config(folder)
    head = MaskHead(
        HeadConfig.from_json(config["head"]), DetectorSpec.from_json(config["detector"])
    )
    path = folder / WEIGHTS_FILE
    try:
        with safe_open(path, "pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise ConfigError(f"{folder} has no {WEIGHTS_FILE}; finish its training first") from error
    except SafetensorError as error:
        raise ConfigError(f"{path} is damaged ({error}); restore it or train again") from error
    try:
        head.load_state_dict(weights)
    except RuntimeError as error:
        first_fault = str(error).splitlines()[1].strip()
        raise ConfigError(
            f"{path} does not fit the head of {CONFIG_FILE}: {first_fault}; "
            "the two files must be of one training"
        ) from error
    return head.to(device).eval()


def read_config(folder: Path) -> dict[str, Any]:
    """The content of a head folder's `config.json`.

    Raises:
        ConfigError: there is none, or it is not a head's.
    """
    path = folder / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{folder} holds no head: {CONFIG_FILE} is missing") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not a JSON file: {error}") from error
    if not isinstance(config, dict) or not {"head", "detector"} <= config.keys():
        raise ConfigError(f"{path} does not describe a head; expected 'head' and 'detector'")
    return config


def category_names(folder: Path) -> dict[int, str]:
    """Name of each category id that the head was trained with."""
    return {int(key): name for key, name in read_config(folder).get("categories", {}).items()}


def check_detector(trained: DetectorSpec, found: DetectorSpec) -> None:
    """Nothing, if a head trained on one detector may be used on the other's features.

    Raises:
        DetectorError: names the first thing that differs, with both values.
    """
    for field in _BINDING:
        wanted, value = getattr(trained, field), getattr(found, field)
        if wanted != value:
            raise DetectorError(
                f"the head was trained for {trained.name} ({_shown(field, wanted)}), "
                f"found {found.name} ({_shown(field, value)}); use the same detector, or train a "
                "head for this one"
            )


def _shown(field: str, value: Any) -> str:
    if field == "weights_digest":
        return f"weights {value[:8]}"
    text = str(value)
    return f"{field} {text if len(text) <= 60 else text[:57] + '...'}"
