"""Linear layers whose products of float32 oneDNN computes on CPUs, instead of MKL.

PyTorch leaves such products to MKL, which keeps AVX-512 to Intel's CPUs; convolutions go to oneDNN,
which does not. On an AMD EPYC 9004 core the rows times a matrix take 3/4 to 9/10 of the time as a
1x1 convolution. A gradient of weights, a sum over many rows, is MKL's in any case.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d
from torch.nn.functional import linear as mkl_linear

MIN_PRODUCTS = 2**27
"""Multiplications below which a convolution takes longer to begin than it saves."""


class Linear(nn.Linear):
    """`nn.Linear`, by `linear`."""

    def forward(self, x: Float[Tensor, "*N I"]) -> Float[Tensor, "*N O"]:
        """The layer at every position of x."""
        return linear(x, self.weight, self.bias)


def linear(
    x: Float[Tensor, "*N I"], weight: Float[Tensor, "O I"], bias: Float[Tensor, " O"] | None = None
) -> Float[Tensor, "*N O"]:
    """`x @ weight.T + bias`, as `torch.nn.functional.linear`; its gradient has none of its own."""
    if (
        torch.compiler.is_compiling()  # first: an exported program has no number of rows to look at
        or not x.is_cpu
        or x.dtype != torch.float32
        or x.numel() * len(weight) < MIN_PRODUCTS
        or torch.is_autocast_enabled("cpu")
        or not (torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available())
    ):
        return mkl_linear(x, weight, bias)
    out: Tensor = _Rows.apply(x.flatten(0, -2), weight, bias)
    return out.view(*x.shape[:-1], -1)


class _Rows(torch.autograd.Function):
    """`linear` of rows (N, I)."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(rows, weight)
        return _by_convolution(rows, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight = ctx.saved_tensors
        of_rows, of_weight, of_bias = ctx.needs_input_grad
        return (
            _by_convolution(grad, weight.t(), None) if of_rows else None,
            grad.t() @ rows if of_weight else None,
            grad.sum(0) if of_bias else None,
        )


def _by_convolution(
    rows: Float[Tensor, "N I"], weight: Float[Tensor, "O I"], bias: Float[Tensor, " O"] | None
) -> Float[Tensor, "N O"]:
    """The rows as one column of pixels; without the dilation PyTorch would choose MKL again."""
    pixels = rows.reshape(1, len(rows), 1, -1).permute(0, 3, 1, 2)
    out = conv2d(pixels, weight[:, :, None, None], bias, dilation=2)
    return out.permute(0, 2, 3, 1).flatten(0, 2)
