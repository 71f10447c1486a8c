"""Where map cells are, as sines."""

from jaxtyping import Bool, Float
from torch import Tensor

from mfd.nn import grid_encoding


def map_position(
    padding_mask: Bool[Tensor, "B H W"], dim: int, temperature: float, offset: float
) -> Float[Tensor, "B H W D"]:
    """Position of each cell relative to its image's unpadded size; first half y, second half x.

    Deformable DETR (arXiv:2010.04159), with its half-pixel offset as an argument.

    Args:
        padding_mask: True on padding.
        dim: D.
        temperature: see `mfd.nn.sine_encoding`.
        offset: added to row and column numbers, which count from 1.
    """
    valid = (~padding_mask).float()
    rows, columns = valid.cumsum(1), valid.cumsum(2)
    y = (rows + offset) / (rows[:, -1:] + 1e-6)
    x = (columns + offset) / (columns[:, :, -1:] + 1e-6)
    return grid_encoding(y, x, dim, temperature)
