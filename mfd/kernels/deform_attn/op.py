"""Multi-scale deformable attention as PyTorch operators: eager, compiled, exported, with gradient.

`mfd::deform_attn(value, shapes, points, weights, reference)` serves both public functions:

    reference given: points are offsets in pixels, weights are logits     (ms_deform_attn_fused)
    reference None:  points are locations in [0, 1], weights are final    (ms_deform_attn)

Every input is read in its own type, sums are float32 (float64 for float64), and the result has
value's type. So autocast needs no rule of its own: it leaves the inputs as they come.
"""

from typing import Any

import torch
from torch import Tensor

from mfd.kernels.deform_attn import reference as pytorch
from mfd.kernels.dispatch import choose_path
from mfd.kernels.register import register

INPUTS = "Tensor value, Tensor shapes, Tensor points, Tensor weights, Tensor? reference"
FORWARD = f"({INPUTS}) -> Tensor"
GRADIENTS = (
    f"(Tensor grad, {INPUTS}, bool need_value, bool need_points) -> (Tensor, Tensor, Tensor)"
)


def _deform_attn(
    value: Tensor, shapes: Tensor, points: Tensor, weights: Tensor, reference: Tensor | None
) -> Tensor:
    """value (B, S, M, D), shapes (L, 2), points (B, Q, M, T, 2), weights (B, Q, M, T)."""
    if choose_path(value.device, value.dtype).path == "triton":
        from mfd.kernels.deform_attn import launch

        return launch.forward(value, shapes, points, weights, reference)
    return pytorch.forward(value, shapes, points, weights, reference)


def _fake_deform_attn(
    value: Tensor, shapes: Tensor, points: Tensor, weights: Tensor, reference: Tensor | None
) -> Tensor:
    return value.new_empty(*weights.shape[:3], value.shape[3])


def _gradients(
    grad: Tensor,
    value: Tensor,
    shapes: Tensor,
    points: Tensor,
    weights: Tensor,
    reference: Tensor | None,
    need_value: bool,
    need_points: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of value, points and weights; empty where they are not needed.

    Triton's additions to value come in any order, unless it is made to sum by tiles, as
    `torch.use_deterministic_algorithms` does.
    """
    backward = pytorch.backward
    if choose_path(value.device, value.dtype).path == "triton":
        from mfd.kernels.deform_attn import launch

        backward = launch.backward
    found = backward(grad, value, shapes, points, weights, reference, need_value, need_points)
    of_value, of_points, of_weights = (value.new_empty(0) if f is None else f for f in found)
    return of_value, of_points, of_weights


def _fake_gradients(
    grad: Tensor,
    value: Tensor,
    shapes: Tensor,
    points: Tensor,
    weights: Tensor,
    reference: Tensor | None,
    need_value: bool,
    need_points: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    def fake(tensor: Tensor, needed: bool) -> Tensor:
        if not needed:
            return value.new_empty(0)
        return torch.empty_like(tensor, memory_format=torch.contiguous_format)

    return fake(value, need_value), fake(points, need_points), fake(weights, need_points)


def _keep_inputs(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    _, shapes, _, _, reference = ctx.saved_tensors
    needs_value, _, *needs_points = ctx.needs_input_grad
    value_grad, points_grad, weights_grad = gradients(
        grad, *ctx.saved_tensors, needs_value, any(needs_points)
    )
    reference_grad = None
    if needs_points[-1]:
        reference_grad = _reference_grad(points_grad, shapes).to(reference.dtype)
    return (
        value_grad if needs_value else None,
        None,
        points_grad if any(needs_points) else None,
        weights_grad if any(needs_points) else None,
        reference_grad,
    )


def _reference_grad(points_grad: Tensor, shapes: Tensor) -> Tensor:
    """A reference point moves every point of its level, in units of the map's size."""
    per_level = points_grad.unflatten(3, (len(shapes), -1)).sum((2, 4))  # (B, Q, L, 2)
    return per_level * shapes.flip(-1).to(per_level.device)


deform_attn = register(
    "deform_attn", FORWARD, _deform_attn, _fake_deform_attn, _backward, _keep_inputs
)
gradients = register("deform_attn_gradients", GRADIENTS, _gradients, _fake_gradients)
