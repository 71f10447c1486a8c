"""Tap tables and reading a map through them, as PyTorch operators: eager, compiled, with gradient.

    out[n, i, j] = sum_t sum_u wy[n, i, t] * wx[n, j, u] * map[image[n], y[n, i, t], x[n, j, u]]

and `add` on top where it is given. Linear in the map and in `add`; the tables have no gradient,
because boxes come from a frozen detector. No atomic additions in either direction: two runs agree
in every bit.
"""

from typing import Any

import torch
from torch import Tensor

from mfd.kernels.dispatch import choose_path
from mfd.kernels.register import register
from mfd.kernels.roi_align import reference
from mfd.kernels.roi_align.taps import box_taps
from mfd.kernels.sums import sum_dtype

MAKE = (
    "(Tensor boxes, Tensor image, Tensor fine_hw, Tensor? coarse_hw, int cells, int samples, "
    "bool aligned) -> (Tensor, Tensor)"
)
TABLES = "Tensor y, Tensor y_weight, Tensor x, Tensor x_weight, Tensor image"
READ = f"(Tensor features, {TABLES}, Tensor? add) -> Tensor"
GRAD = f"(Tensor grad, {TABLES}, int batch, int height, int width) -> Tensor"


def _taps(
    boxes: Tensor,
    image: Tensor,
    fine_hw: Tensor,
    coarse_hw: Tensor | None,
    cells: int,
    samples: int,
    aligned: bool,
) -> tuple[Tensor, Tensor]:
    """Pixels (int32) and weights (2, N, s, T) of `box_taps`; `samples` above 0."""
    arguments = (boxes, image, fine_hw, coarse_hw, cells, samples, aligned)
    if choose_path(boxes.device, boxes.dtype).path == "triton":
        from mfd.kernels.roi_align import launch

        return launch.taps(*arguments)
    pixel, weight = box_taps(*arguments)
    return pixel.int(), weight


def _fake_taps(
    boxes: Tensor,
    image: Tensor,
    fine_hw: Tensor,
    coarse_hw: Tensor | None,
    cells: int,
    samples: int,
    aligned: bool,
) -> tuple[Tensor, Tensor]:
    shape = (2, boxes.shape[0], cells, samples * (2 if coarse_hw is None else 4))
    exact = sum_dtype(boxes.dtype)
    return boxes.new_empty(shape, dtype=torch.int32), boxes.new_empty(shape, dtype=exact)


def _read(
    features: Tensor,
    y: Tensor,
    y_weight: Tensor,
    x: Tensor,
    x_weight: Tensor,
    image: Tensor,
    add: Tensor | None,
) -> Tensor:
    """features (B, H, W, C), tables (N, s, T) with T apart for y and x, image (N,)."""
    if choose_path(features.device, features.dtype).path == "triton":
        from mfd.kernels.roi_align import launch

        return launch.forward(features, y, y_weight, x, x_weight, image, add)
    return reference.forward(features, y, y_weight, x, x_weight, image, add)


def _fake_read(
    features: Tensor,
    y: Tensor,
    y_weight: Tensor,
    x: Tensor,
    x_weight: Tensor,
    image: Tensor,
    add: Tensor | None,
) -> Tensor:
    return features.new_empty(*y.shape[:2], x.shape[1], features.shape[3])


def _grad(
    grad: Tensor,
    y: Tensor,
    y_weight: Tensor,
    x: Tensor,
    x_weight: Tensor,
    image: Tensor,
    batch: int,
    height: int,
    width: int,
) -> Tensor:
    """The gradient of features."""
    if choose_path(grad.device, grad.dtype).path == "triton":
        from mfd.kernels.roi_align import launch

        return launch.backward(grad, y, y_weight, x, x_weight, image, batch, height, width)
    return reference.backward(grad, y, y_weight, x, x_weight, image, batch, height, width)


def _fake_grad(
    grad: Tensor,
    y: Tensor,
    y_weight: Tensor,
    x: Tensor,
    x_weight: Tensor,
    image: Tensor,
    batch: int,
    height: int,
    width: int,
) -> Tensor:
    return grad.new_empty(batch, height, width, grad.shape[3])


def _keep_tables(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    features, *tables, _ = inputs
    ctx.save_for_backward(*tables)
    ctx.sizes = features.shape[:3]


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    of_features = None
    if ctx.needs_input_grad[0]:
        of_features = roi_read_grad(grad, *ctx.saved_tensors, *ctx.sizes)
    return of_features, None, None, None, None, None, grad if ctx.needs_input_grad[6] else None


roi_taps = register("roi_taps", MAKE, _taps, _fake_taps)
roi_read = register("roi_read", READ, _read, _fake_read, _backward, _keep_tables)
roi_read_grad = register("roi_read_grad", GRAD, _grad, _fake_grad)
