"""Launches the Triton kernel of unpacking. Arguments are those of `api.unpack`."""

import torch
import triton
from torch import Tensor

from mfd.kernels.unpack import triton as kernels

BYTES = 2048  # per program
WIDTH = 128  # of them beside each other


def forward(stored: Tensor, offset: Tensor, scale: Tensor) -> Tensor:
    """The values (B, N, C), float32."""
    images, positions, width = stored.shape
    channels = scale.shape[1]
    out = scale.new_empty(images, positions, channels)
    if not out.numel():
        return out
    block_p = min(WIDTH, triton.next_power_of_2(width))
    block_n = BYTES // block_p
    blocks = triton.cdiv(positions, block_n) * triton.cdiv(width, block_p)
    with torch.cuda.device_of(stored):
        kernels.forward_kernel[(images * blocks,)](
            stored.contiguous(), offset.contiguous(), scale.contiguous(), out,
            positions, width, channels,
            BLOCK_N=block_n, BLOCK_P=block_p, num_warps=4,
        )  # fmt: skip
    return out
