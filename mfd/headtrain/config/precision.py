"""The element type that a recipe's precision stands for on a device."""

import torch

from mfd.detectors import precision_on
from mfd.headtrain.config.train import TrainConfig


def autocast_dtype(config: TrainConfig, device: torch.device) -> torch.dtype | None:
    """Element type of the forward pass; None for that of the weights, float32."""
    return torch.bfloat16 if precision_on(device, config.precision) == "bfloat16" else None
