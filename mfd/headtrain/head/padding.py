"""Where the maps of a batch are image and where they are padding."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def valid_pixels(sizes_hw: Int[Tensor, "B 2"], height: int, width: int) -> Bool[Tensor, "B H W"]:
    """True where a padded map of `height` x `width` holds the image, false on its padding."""
    rows = torch.arange(height, device=sizes_hw.device) < sizes_hw[:, :1]  # (B, H)
    columns = torch.arange(width, device=sizes_hw.device) < sizes_hw[:, 1:]  # (B, W)
    return rows[:, :, None] & columns[:, None]


def zero_padding(
    maps: Float[Tensor, "B H W C"], sizes_hw: Int[Tensor, "B 2"]
) -> Float[Tensor, "B H W C"]:
    """The maps with zeros on their padding, whatever was there, NaN included.

    On a CPU maps without padding come back as they are; a GPU would have to be waited for, and a
    compiled graph would end there.
    """
    if (
        maps.is_cpu
        and not torch.compiler.is_compiling()
        and bool((sizes_hw == torch.tensor(maps.shape[1:3])).all())
    ):
        return maps
    valid = valid_pixels(sizes_hw.to(maps.device), maps.shape[1], maps.shape[2])
    return maps.masked_fill(~valid[..., None], 0)
