"""Multi-scale deformable attention as PyTorch operators: eager, compiled, exported, with gradient.

`mfd::deform_attn(value, shapes, points, weights, reference)` serves both public functions:

    reference given: points are offsets in pixels, weights are logits     (ms_deform_attn_fused)
    reference None:  points are locations in [0, 1], weights are final    (ms_deform_attn)

Every input is read in its own type, sums are float32 (float64 for float64), and the result has
value's type. So autocast needs no rule of its own: it leaves the inputs as they come.

Registered with `torch.library.define`, because the first call of a `custom_op` imports all of
`torch._dynamo`: seconds that a command which never compiles would wait for nothing.
"""

from typing import Any

import torch
from torch import Tensor

from mfd.kernels import deform_attn_reference
from mfd.kernels.dispatch import choose_path

INPUTS = "Tensor value, Tensor shapes, Tensor points, Tensor weights, Tensor? reference"
SCHEMAS = {
    "deform_attn": f"({INPUTS}) -> Tensor",
    "deform_attn_value_grad": f"(Tensor grad, {INPUTS}) -> Tensor",
    "deform_attn_points_grad": f"(Tensor grad, {INPUTS}) -> (Tensor, Tensor)",
}


def _deform_attn(
    value: Tensor, shapes: Tensor, points: Tensor, weights: Tensor, reference: Tensor | None
) -> Tensor:
    """value (B, S, M, D), shapes (L, 2), points (B, Q, M, T, 2), weights (B, Q, M, T)."""
    if choose_path(value.device, value.dtype).path == "triton":
        from mfd.kernels import deform_attn_launch

        return deform_attn_launch.forward(value, shapes, points, weights, reference)
    return deform_attn_reference.forward(value, shapes, points, weights, reference)


def _fake_deform_attn(
    value: Tensor, shapes: Tensor, points: Tensor, weights: Tensor, reference: Tensor | None
) -> Tensor:
    return value.new_empty(*weights.shape[:3], value.shape[3])


def _deform_attn_value_grad(
    grad: Tensor,
    value: Tensor,
    shapes: Tensor,
    points: Tensor,
    weights: Tensor,
    reference: Tensor | None,
) -> Tensor:
    """The gradient of value.

    Triton's atomic additions come in any order; `torch.use_deterministic_algorithms` replaces them
    by the sorted sums of the PyTorch path.
    """
    deterministic = torch.are_deterministic_algorithms_enabled()
    if not deterministic and choose_path(value.device, value.dtype).path == "triton":
        from mfd.kernels import deform_attn_launch

        return deform_attn_launch.value_grad(grad, value, shapes, points, weights, reference)
    return deform_attn_reference.value_grad(grad, value, shapes, points, weights, reference)


def _fake_deform_attn_value_grad(
    grad: Tensor,
    value: Tensor,
    shapes: Tensor,
    points: Tensor,
    weights: Tensor,
    reference: Tensor | None,
) -> Tensor:
    return torch.empty_like(value, memory_format=torch.contiguous_format)


def _deform_attn_points_grad(
    grad: Tensor,
    value: Tensor,
    shapes: Tensor,
    points: Tensor,
    weights: Tensor,
    reference: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The gradients of points and weights."""
    if choose_path(value.device, value.dtype).path == "triton":
        from mfd.kernels import deform_attn_launch

        return deform_attn_launch.points_grad(grad, value, shapes, points, weights, reference)
    return deform_attn_reference.points_grad(grad, value, shapes, points, weights, reference)


def _fake_deform_attn_points_grad(
    grad: Tensor,
    value: Tensor,
    shapes: Tensor,
    points: Tensor,
    weights: Tensor,
    reference: Tensor | None,
) -> tuple[Tensor, Tensor]:
    return (
        torch.empty_like(points, memory_format=torch.contiguous_format),
        torch.empty_like(weights, memory_format=torch.contiguous_format),
    )


def _keep_inputs(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    inputs = ctx.saved_tensors
    _, shapes, _, _, reference = inputs
    value_grad = points_grad = weights_grad = reference_grad = None
    needs_value, _, *needs_points = ctx.needs_input_grad
    if needs_value:
        value_grad = torch.ops.mfd.deform_attn_value_grad(grad, *inputs)
    if any(needs_points):
        points_grad, weights_grad = torch.ops.mfd.deform_attn_points_grad(grad, *inputs)
        if needs_points[-1]:
            reference_grad = _reference_grad(points_grad, shapes).to(reference.dtype)
    return value_grad, None, points_grad, weights_grad, reference_grad


def _reference_grad(points_grad: Tensor, shapes: Tensor) -> Tensor:
    """A reference point moves every point of its level, in units of the map's size."""
    per_level = points_grad.unflatten(3, (len(shapes), -1)).sum((2, 4))  # (B, Q, L, 2)
    return per_level * shapes.flip(-1).to(per_level.device)


for name, compute, fake in (
    ("deform_attn", _deform_attn, _fake_deform_attn),
    ("deform_attn_value_grad", _deform_attn_value_grad, _fake_deform_attn_value_grad),
    ("deform_attn_points_grad", _deform_attn_points_grad, _fake_deform_attn_points_grad),
):
    torch.library.define(f"mfd::{name}", SCHEMAS[name], tags=torch.Tag.pt2_compliant_tag)
    torch.library.impl(f"mfd::{name}", "default", compute)
    torch.library.register_fake(f"mfd::{name}", fake)
torch.library.register_autograd("mfd::deform_attn", _backward, setup_context=_keep_inputs)
deform_attn = torch.ops.mfd.deform_attn
