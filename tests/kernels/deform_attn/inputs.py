"""Arguments of both forms of multi-scale deformable attention, and the fused form's oracle."""

import torch
from torch import Tensor

from tests.kernels.oracle import DEVICE, deform_attn_grid_sample

SHAPES = torch.tensor([(5, 7), (3, 2), (1, 4), (1, 1)])  # a level of height one, one of one pixel


def make_inputs(
    dtype: torch.dtype = torch.float64,
    shapes: Tensor = SHAPES,
    batch: int = 2,
    queries: int = 5,
    heads: int = 2,
    dim: int = 12,
    points: int = 2,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Value, shapes, locations that reach outside the maps, and weights that sum to one."""
    levels = len(shapes)
    area = int(shapes.prod(1).sum())
    value = torch.randn(batch, area, heads, dim, dtype=dtype)
    locations = torch.rand(batch, queries, heads, levels, points, 2, dtype=dtype) * 1.6 - 0.3
    weights = torch.randn(batch, queries, heads, levels * points, dtype=dtype).softmax(-1)
    tensors = (value, locations, weights.unflatten(-1, (levels, points)))
    value, locations, weights = (t.to(DEVICE).requires_grad_() for t in tensors)
    return value, shapes, locations, weights


def fused_inputs(dtype: torch.dtype, **sizes: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Value, shapes, pixel offsets, logits, reference points."""
    value, shapes, locations, _ = make_inputs(dtype, **sizes)
    batch, queries, heads, levels, points, _ = locations.shape
    offsets = torch.randn(batch, queries, heads, levels * points, 2, dtype=dtype) * 2
    logits = torch.randn(batch, queries, heads, levels * points, dtype=dtype)
    reference = torch.rand(batch, queries, levels, 2, dtype=dtype)
    leaves = (t.to(DEVICE).requires_grad_() for t in (offsets, logits, reference))
    return value, shapes, *leaves  # type: ignore[return-value]


def from_fused(
    value: Tensor, shapes: Tensor, offsets: Tensor, logits: Tensor, reference: Tensor
) -> Tensor:
    """The fused form through the oracle of the standard form."""
    split = (len(shapes), -1)
    sizes_wh = shapes.flip(-1).to(offsets)[:, None]
    locations = reference[:, :, None, :, None] + offsets.unflatten(3, split) / sizes_wh
    return deform_attn_grid_sample(
        value, shapes, locations, logits.softmax(-1).unflatten(-1, split)
    )
