"""LayerNorm of a sum in PyTorch, both directions; see `op`."""

import torch
from torch import Tensor

from mfd.kernels.sums import sum_dtype


def forward(
    x: Tensor, y: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The result in x's type; mean and 1 / standard deviation of every row."""
    total = _sum(x, y)
    out, mean, scale = torch.native_layer_norm(
        total, total.shape[-1:], weight.to(total), bias.to(total), eps
    )
    return out.to(x.dtype), mean, scale


def backward(
    grad: Tensor, x: Tensor, y: Tensor, weight: Tensor, mean: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor]:
    """The gradients of the sum, in grad's type, and of weight and bias, (2, D)."""
    total = _sum(x, y)
    weight = weight.to(total)
    of_sum, of_weight, of_bias = torch.ops.aten.native_layer_norm_backward(
        grad.to(total), total, total.shape[-1:], mean, scale, weight, weight, [True] * 3
    )
    return of_sum.to(grad.dtype), torch.stack([of_weight, of_bias])


def _sum(x: Tensor, y: Tensor) -> Tensor:
    exact = sum_dtype(x.dtype)
    return x.to(exact) + y.to(exact)
