"""Sine position encodings of pixels and of boxes (Vaswani et al. 2017; in 2-D as DETR's)."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor


def sine_encoding(position: Float[Tensor, "*N"], dim: int) -> Float[Tensor, "*N dim"]:
    """Sines (even channels) and cosines (odd) of positions in [0, 1], slower from pair to pair."""
    channel = torch.arange(dim, device=position.device)
    pair = torch.div(channel, 2, rounding_mode="floor")
    angle = position[..., None] * 2 * math.pi / 10000 ** (2 * pair / dim)
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos())


def pixel_positions(
    sizes_hw: Int[Tensor, "B 2"], height: int, width: int
) -> tuple[Float[Tensor, "B H"], Float[Tensor, "B W"]]:
    """y and x of a padded map's pixel centres; 0 and 1 are the edges of the image on it."""
    rows = torch.arange(height, device=sizes_hw.device) + 0.5
    columns = torch.arange(width, device=sizes_hw.device) + 0.5
    return rows / sizes_hw[:, :1], columns / sizes_hw[:, 1:]


def pixel_encoding(
    y: Float[Tensor, "B H"], x: Float[Tensor, "B W"], dim: int
) -> Float[Tensor, "B H W dim"]:
    """The encoding of every pixel as in Deformable DETR: half the channels from y, half from x."""
    rows = sine_encoding(y, dim // 2)[:, :, None].expand(-1, -1, x.shape[1], -1)
    columns = sine_encoding(x, dim // 2)[:, None].expand(-1, y.shape[1], -1, -1)
    return torch.cat([rows, columns], -1)


def box_encoding(boxes: Float[Tensor, "N 4"]) -> Float[Tensor, "N 256"]:
    """The encoding of (centre x, centre y, width, height), 64 channels each."""
    return sine_encoding(boxes, 64).flatten(1)
