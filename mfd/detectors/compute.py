"""Where a detector computes, and how precisely."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, get_args

import torch

from mfd.config import Precision
from mfd.detectors.contract import Detector
from mfd.errors import ConfigError


def device_of(detector: Detector) -> torch.device:
    """Where the detector's weights are; the CPU if it has none."""
    return next((p.device for p in detector.parameters()), torch.device("cpu"))


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
