"""The element type that a recipe's precision stands for on a device."""

import torch

from mfd.headtrain.config.train import TrainConfig


def autocast_dtype(config: TrainConfig, device: torch.device) -> torch.dtype | None:
    """Element type of the forward pass; None for that of the weights, float32."""
    if config.precision == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if fast else None
    return torch.bfloat16 if config.precision == "bfloat16" else None
