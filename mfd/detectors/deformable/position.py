"""Where things are, as sines: map cells and boxes."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def sine(
    values: Float[Tensor, "*shape"], features: int, temperature: float
) -> Float[Tensor, "*shape F"]:
    """Sines (even positions) and cosines (odd) of each value at F / 2 falling frequencies.

    Args:
        values: angles of the highest frequency, radians.
        features: F, even.
        temperature: ratio of the highest frequency to the limit of the lowest.
    """
    exponent = torch.arange(features // 2, dtype=torch.float32, device=values.device)
    angles = values[..., None] / temperature ** (2 * exponent / features)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)


def map_position(
    padding_mask: Bool[Tensor, "B H W"], dim: int, temperature: float, offset: float
) -> Float[Tensor, "B H W D"]:
    """Position of each cell relative to its image's unpadded size; first half y, second half x.

    Deformable DETR (arXiv:2010.04159), with its half-pixel offset as an argument.

    Args:
        padding_mask: True on padding.
        dim: D.
        temperature: see `sine`.
        offset: added to row and column numbers, which count from 1.
    """
    valid = (~padding_mask).float()
    rows, columns = valid.cumsum(1), valid.cumsum(2)
    y = (rows + offset) / (rows[:, -1:] + 1e-6) * (2 * math.pi)
    x = (columns + offset) / (columns[:, :, -1:] + 1e-6) * (2 * math.pi)
    return torch.cat((sine(y, dim // 2, temperature), sine(x, dim // 2, temperature)), dim=-1)


def box_position(boxes: Float[Tensor, "B Q 4"], features: int) -> Float[Tensor, "B Q F4"]:
    """The sines of the four numbers of each box, `features` each, in the order given."""
    return sine(boxes * (2 * math.pi), features, 10000.0).flatten(-2)
