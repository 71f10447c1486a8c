"""Multi-scale deformable attention: the two public functions."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfd.errors import KernelError
from mfd.kernels.deform_attn.op import deform_attn


def ms_deform_attn(
    value: Float[Tensor, "B S M D"],
    spatial_shapes: Int[Tensor, "L 2"],
    sampling_locations: Float[Tensor, "B Q M L P 2"],
    attention_weights: Float[Tensor, "B Q M L P"],
) -> Float[Tensor, "B Q M D"]:
    """Sum P bilinear samples of each of L maps, weighted, for every query and head.

    Eq. 3 of Deformable DETR (arXiv:2010.04159) without its two projections.

    Args:
        value: the maps, each flattened row by row, joined along S = sum of H * W.
        spatial_shapes: (H, W) of each map, pixels.
        sampling_locations: (x, y); 0 and 1 are the outer edges of the map
            (align_corners=False). A point outside reads zero, and so does NaN.
        attention_weights: normally sum to 1 over (L, P).

    Raises:
        KernelError: if the shapes do not fit each other.
    """
    points = sampling_locations.flatten(3, 4)
    weights = attention_weights.flatten(3)
    _check(value, spatial_shapes, points, weights)
    return deform_attn(value, spatial_shapes, points, weights, None)


def ms_deform_attn_fused(
    value: Float[Tensor, "B S M D"],
    spatial_shapes: Int[Tensor, "L 2"],
    offsets: Float[Tensor, "B Q M T 2"],
    logits: Float[Tensor, "B Q M T"],
    reference_points: Float[Tensor, "B Q L 2"],
) -> Float[Tensor, "B Q M D"]:
    """Multi-scale deformable attention from raw offsets and logits; T = L * P, level first.

    The same as `ms_deform_attn(value, spatial_shapes, reference_points + offsets / (W, H),
    softmax(logits))`, without the two tensors in between; 16-bit offsets in pixels are also far
    more precise than 16-bit locations.

    Args:
        value: the maps, each flattened row by row, joined along S = sum of H * W.
        spatial_shapes: (H, W) of each map, pixels.
        offsets: (x, y) from the reference point, in pixels of the level they sample.
        logits: attention before the softmax over the T points.
        reference_points: (x, y); 0 and 1 are the outer edges of the map. Better float32.

    Raises:
        KernelError: if the shapes do not fit each other.
    """
    _check(value, spatial_shapes, offsets, logits)
    expected = (*offsets.shape[:2], len(spatial_shapes), 2)
    if reference_points.shape != expected:
        raise KernelError(
            f"reference_points have shape {tuple(reference_points.shape)}, expected {expected}"
        )
    return deform_attn(value, spatial_shapes, offsets, logits, reference_points)


def _check(value: Tensor, spatial_shapes: Tensor, points: Tensor, weights: Tensor) -> None:
    """Raises KernelError unless the shapes fit; sizes on another device are not waited for."""
    if value.ndim != 4 or not value.dtype.is_floating_point:
        raise KernelError(
            f"value is {value.dtype} of shape {tuple(value.shape)}, "
            "expected floats of shape (images, pixels, heads, channels)"
        )
    batch, area, heads, _ = value.shape
    levels = len(spatial_shapes)
    if points.shape != (*weights.shape, 2) or weights.shape[::2] != (batch, heads):
        raise KernelError(
            f"points have shape {tuple(points.shape)} and weights {tuple(weights.shape)}; expected "
            f"({batch}, queries, {heads}, points, 2) and the same without the 2, as value says"
        )
    if spatial_shapes.shape != (levels, 2) or not levels or weights.shape[3] % levels:
        raise KernelError(
            f"spatial_shapes has shape {tuple(spatial_shapes.shape)}; expected (levels, 2), with "
            f"levels a divisor of the {weights.shape[3]} points"
        )
    if len({t.device for t in (value, points, weights)}) > 1:
        raise KernelError(
            f"value is on {value.device}, points on {points.device}, weights on {weights.device}; "
            "move them to one device"
        )
    if torch.compiler.is_compiling() or spatial_shapes.device.type != "cpu":
        return
    if spatial_shapes.min() < 1:
        raise KernelError(f"spatial_shapes are {spatial_shapes.tolist()}, expected sides above 0")
    if (found := int(spatial_shapes.prod(1).sum())) != area:
        raise KernelError(f"value has {area} pixels, spatial_shapes give {found}")
