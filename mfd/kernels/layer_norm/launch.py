"""Launches the Triton kernels of LayerNorm. Arguments are those of the operators in `op`."""

from typing import Any

import torch
import triton
from torch import Tensor

from mfd.kernels.dispatch import interpreted
from mfd.kernels.layer_norm import triton as kernels
from mfd.kernels.sums import accumulator, sum_dtype

TILE = 1024  # elements of a program's tile: 8 of each thread of 4 warps, 16 bytes in 16 bits
INTERPRETED_ROWS = 64  # the interpreter's cost is per program, whatever its size
PROGRAMS = 1024  # of the backward pass; each leaves one sum for weight and bias


def forward(
    x: Tensor, y: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The result in x's type; mean and 1 / standard deviation of every row."""
    exact = sum_dtype(x.dtype)
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    mean = torch.empty((*x.shape[:-1], 1), dtype=exact, device=x.device)
    scale = torch.empty((*x.shape[:-1], 1), dtype=exact, device=x.device)
    if x.numel():
        sizes = _sizes(x)
        with torch.cuda.device_of(x):
            kernels.forward_kernel[(triton.cdiv(mean.numel(), sizes["BLOCK_N"]),)](
                x.contiguous(), y.contiguous(), weight.contiguous(), bias.contiguous(),
                out, mean, scale, mean.numel(), eps, **sizes, num_warps=4,
            )  # fmt: skip
    return out, mean, scale


def backward(
    grad: Tensor, x: Tensor, y: Tensor, weight: Tensor, mean: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor]:
    """The gradients of the sum, in grad's type, and of weight and bias, (2, D)."""
    of_sum = torch.empty(x.shape, dtype=grad.dtype, device=x.device)
    if not x.numel():
        return of_sum, mean.new_zeros(2, x.shape[-1])
    sizes = _sizes(x)
    programs = min(triton.cdiv(mean.numel(), sizes["BLOCK_N"]), PROGRAMS)
    parts = torch.empty(2, programs, x.shape[-1], dtype=mean.dtype, device=x.device)
    with torch.cuda.device_of(x):
        kernels.backward_kernel[(programs,)](
            grad.contiguous(), x.contiguous(), y.contiguous(), weight.contiguous(),
            mean, scale, of_sum, parts, mean.numel(), **sizes, num_warps=4,
        )  # fmt: skip
    return of_sum, parts.sum(1)


def _sizes(x: Tensor) -> dict[str, Any]:
    """What both kernels take, by name."""
    block_d = triton.next_power_of_2(x.shape[-1])
    return {
        "D": x.shape[-1],
        "BLOCK_N": INTERPRETED_ROWS if interpreted() else max(TILE // block_d, 1),
        "BLOCK_D": block_d,
        "ACC": accumulator(x.dtype),
    }
