"""Bilinear up-sampling of a batch of maps, every image from and to its own size."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def upsample(
    maps: Float[Tensor, "B h w C"],
    from_hw: Int[Tensor, "B 2"],
    to_hw: Int[Tensor, "B 2"],
    height: int,
    width: int,
) -> Float[Tensor, "B H W C"]:
    """Maps of `height` x `width`; beyond `to_hw` they repeat the border.

    Equals `interpolate(maps[i, :h_i, :w_i], to_hw[i], mode="bilinear", align_corners=False)`.
    """
    rows = _resize_axis(maps, 1, from_hw[:, 0], to_hw[:, 0], height)
    return _resize_axis(rows, 2, from_hw[:, 1], to_hw[:, 1], width)


def _resize_axis(
    maps: Tensor, axis: int, old: Int[Tensor, " B"], new: Int[Tensor, " B"], length: int
) -> Tensor:
    """One axis interpolated linearly, from `old` to `new` pixels in each image."""
    last = old[:, None] - 1
    centres = torch.arange(length, device=old.device) + 0.5
    where = centres * (old / new)[:, None] - 0.5  # (B, length)
    where = torch.minimum(where.clamp(min=0), last)
    low = where.floor().long()
    shape = (-1, length, 1) if axis == 1 else (-1, 1, length)
    image, row, column = (torch.arange(size, device=old.device) for size in maps.shape[:3])
    image, row = image[:, None, None], row[:, None]
    below, above = (  # by index: `gather` takes one number at a time
        maps[image, pixel, column] if axis == 1 else maps[image, row, pixel]
        for pixel in (low.view(shape), torch.minimum(low + 1, last).view(shape))
    )
    return torch.lerp(below, above, (where - low).to(maps.dtype).view(*shape, 1))
