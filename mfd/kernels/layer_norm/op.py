"""LayerNorm of a sum as PyTorch operators: eager, compiled, with gradient.

    out = (x + y - mean) * scale * weight + bias        scale = 1 / sqrt(variance + eps)

The sum is not kept for the backward pass: both its parts are there anyway, in fewer bytes.
"""

from typing import Any

import torch
from torch import Tensor

from mfd.kernels.dispatch import choose_path
from mfd.kernels.layer_norm import reference
from mfd.kernels.register import register
from mfd.kernels.sums import sum_dtype

FORWARD = "(Tensor x, Tensor y, Tensor weight, Tensor bias, float eps) -> (Tensor, Tensor, Tensor)"
GRAD = (
    "(Tensor grad, Tensor x, Tensor y, Tensor weight, Tensor mean, Tensor scale)"
    " -> (Tensor, Tensor)"
)


def _forward(
    x: Tensor, y: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """x and y (..., D), weight and bias (D,); the result, mean and scale (..., 1)."""
    if choose_path(x.device, x.dtype).path == "triton":
        from mfd.kernels.layer_norm import launch

        return launch.forward(x, y, weight, bias, eps)
    return reference.forward(x, y, weight, bias, eps)


def _fake_forward(
    x: Tensor, y: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    statistics = x.new_empty((*x.shape[:-1], 1), dtype=sum_dtype(x.dtype))
    return x.new_empty(x.shape), statistics, torch.empty_like(statistics)


def _grad(
    grad: Tensor, x: Tensor, y: Tensor, weight: Tensor, mean: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor]:
    """The gradients of the sum, in grad's type, and of weight and bias, (2, D)."""
    if choose_path(x.device, x.dtype).path == "triton":
        from mfd.kernels.layer_norm import launch

        return launch.backward(grad, x, y, weight, mean, scale)
    return reference.backward(grad, x, y, weight, mean, scale)


def _fake_grad(
    grad: Tensor, x: Tensor, y: Tensor, weight: Tensor, mean: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor]:
    return grad.new_empty(grad.shape), mean.new_empty(2, x.shape[-1])


def _keep_inputs(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, y, weight, bias, _ = inputs
    _, mean, scale = output
    ctx.save_for_backward(x, y, weight, mean, scale)
    ctx.mark_non_differentiable(mean, scale)
    ctx.set_materialize_grads(False)  # theirs would be zeros
    ctx.bias_type = bias.dtype


def _backward(ctx: Any, grad: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
    if grad is None:
        return None, None, None, None, None
    x, y, weight, *_ = ctx.saved_tensors
    of_sum, of_affine = add_layer_norm_grad(grad, *ctx.saved_tensors)
    of_weight, of_bias = of_affine.unbind()
    of_affine = of_weight.to(weight.dtype), of_bias.to(ctx.bias_type)
    return of_sum.to(x.dtype), of_sum.to(y.dtype), *of_affine, None


add_layer_norm = register(
    "add_layer_norm", FORWARD, _forward, _fake_forward, _backward, _keep_inputs
)
add_layer_norm_grad = register("add_layer_norm_grad", GRAD, _grad, _fake_grad)
