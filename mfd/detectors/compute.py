"""Where a detector computes, and how precisely."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, get_args

import torch

from mfd.config import Precision, PrecisionChoice
from mfd.detectors.contract import Detector
from mfd.errors import ConfigError


def device_of(detector: Detector) -> torch.device:
    """Where the detector's weights are; the CPU if it has none."""
    return next((p.device for p in detector.parameters()), torch.device("cpu"))


def precision_on(device: torch.device, choice: PrecisionChoice) -> Precision:
    """What a choice comes to: "auto" is bfloat16 on GPUs that compute with it, else float32.

    TF32 is not used: under bfloat16 the only products left for it are those that a detector
    computes in float32 on purpose.
    """
    if choice != "auto":
        return choice
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if fast else "float32"


def autocast_context(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    """The context that a detector's forward pass runs in.

    Raises:
        ConfigError: another name than those of `Precision`.
    """
    if precision not in get_args(Precision):
        raise ConfigError(f"precision is {precision!r}, expected one of {get_args(Precision)}")
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bfloat16" else torch.float16)
