"""Where the pixels of padded maps lie in their images."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def pixel_positions(
    sizes_hw: Int[Tensor, "B 2"], height: int, width: int
) -> tuple[Float[Tensor, "B H 1"], Float[Tensor, "B 1 W"]]:
    """y and x of a padded map's pixel centres; 0 and 1 are the edges of the image on it."""
    rows = torch.arange(height, device=sizes_hw.device)[:, None] + 0.5
    columns = torch.arange(width, device=sizes_hw.device) + 0.5
    return rows / sizes_hw[:, :1, None], columns / sizes_hw[:, 1:, None]


def pixel_centres(y: Float[Tensor, "B H 1"], x: Float[Tensor, "B 1 W"]) -> Float[Tensor, "B HW 2"]:
    """(x, y) of every pixel, row by row."""
    return torch.stack(torch.broadcast_tensors(x, y), -1).flatten(1, 2)
