"""Unpacking in PyTorch. Arguments are those of `api.unpack`."""

import torch
from torch import Tensor


def forward(stored: Tensor, offset: Tensor, scale: Tensor) -> Tensor:
    """The values (B, N, C), float32."""
    codes = torch.cat((stored & 15, stored >> 4), -1)[..., : scale.shape[1]]
    return codes.float().mul_(scale[:, None]).add_(offset[:, None])
