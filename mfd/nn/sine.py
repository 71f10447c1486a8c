"""Sine position encodings (Vaswani et al. 2017; in two dimensions as DETR's)."""

import itertools
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def sine_encoding(
    positions: Float[Tensor, "*N"], dim: int, temperature: float = 10000.0
) -> Float[Tensor, "*N dim"]:
    """Sines (even channels) and cosines (odd) of every position, slower from pair to pair.

    Args:
        positions: 1 is a whole turn of the fastest pair.
        dim: channels, even.
        temperature: ratio of the highest frequency to the limit of the lowest.
    """
    pair = torch.arange(dim // 2, dtype=torch.float32, device=positions.device)
    angles = positions[..., None] * (2 * math.pi) / temperature ** (2 * pair / dim)
    return torch.stack((angles.sin(), angles.cos()), -1).flatten(-2)


def grid_encoding(
    y: Float[Tensor, "B H #W"],
    x: Float[Tensor, "B #H W"],
    dim: int,
    temperature: float = 10000.0,
) -> Float[Tensor, "B H W dim"]:
    """The encoding of every cell of a grid: the first half of the channels from y, then x."""
    rows, columns = (sine_encoding(axis, dim // 2, temperature) for axis in (y, x))
    return torch.cat(torch.broadcast_tensors(rows, columns), -1)


def grid_encodings(
    grids: Sequence[tuple[Float[Tensor, "B _h 1"], Float[Tensor, "B 1 _w"]]],
    dim: int,
    dtype: torch.dtype,
) -> list[Float[Tensor, "B _h _w dim"]]:
    """`grid_encoding` of several grids, in another type: all their sines are taken at once.

    Args:
        grids: (y, x) of each.
        dim: channels, a multiple of 4.
        dtype: of the result; sines are computed in the type of the positions.
    """
    axes = [axis for y, x in grids for axis in (y[:, :, 0], x[:, 0])]
    encoded = sine_encoding(torch.cat(axes, 1), dim // 2).to(dtype)
    stops = itertools.accumulate(axis.shape[1] for axis in axes)
    # slices, since pieces of open sizes are a sequence in ONNX
    parts = iter(
        [encoded[:, stop - axis.shape[1] : stop] for axis, stop in zip(axes, stops, strict=True)]
    )
    return [
        torch.cat(torch.broadcast_tensors(rows[:, :, None], columns[:, None]), -1)
        for rows, columns in zip(parts, parts, strict=True)
    ]


def box_encoding(boxes: Float[Tensor, "*N 4"], dim: int) -> Float[Tensor, "*N dim"]:
    """The encoding of a box's four numbers in the order given, a quarter of the channels each."""
    return sine_encoding(boxes, dim // 4).flatten(-2)
