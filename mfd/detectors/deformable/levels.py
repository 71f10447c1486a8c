"""The geometry of several padded maps joined into one token sequence."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import interpolate

from mfd.nn import sizes_tensor


@dataclass
class Levels:
    """Sizes, padding and cell centres of L maps; made once per batch.

    Attributes:
        sizes_hw: (H, W) of each map, pixels.
        spatial_shapes: the same as a tensor.
        masks: padding of each map, True on padding.
        padding: the masks flattened and joined, S = sum of H * W.
        valid_ratios: (width, height) of the unpadded part of each map, as fractions.
        centres: (x, y) of each token; 1 is the edge of its own map's unpadded part.
    """

    sizes_hw: tuple[tuple[int, int], ...]
    spatial_shapes: Int[Tensor, "L 2"]
    masks: list[Bool[Tensor, "B _H _W"]]
    padding: Bool[Tensor, "B S"]
    valid_ratios: Float[Tensor, "B L 2"]
    centres: Float[Tensor, "B S 2"]

    def split(self, tokens: Float[Tensor, "B S D"]) -> list[Float[Tensor, "B _H _W D"]]:
        """The token sequence as maps, channels last."""
        pieces = tokens.split([h * w for h, w in self.sizes_hw], dim=1)
        return [p.unflatten(1, hw) for p, hw in zip(pieces, self.sizes_hw, strict=True)]


def build_levels(
    padding_mask: Bool[Tensor, "B H W"], sizes_hw: tuple[tuple[int, int], ...]
) -> Levels:
    """The geometry of maps of these sizes for a batch of padded images.

    Every level's padding is the image's, at the nearest pixel towards the top left.
    """
    full = padding_mask[:, None].float()
    masks = [interpolate(full, size=hw)[:, 0].bool() for hw in sizes_hw]
    counts = torch.stack([_unpadded_wh(mask) for mask in masks], dim=1)  # B, L, 2
    shapes = sizes_tensor(sizes_hw, padding_mask.device)
    centres = [
        _pixel_centres(hw, counts.device)[None] / counts[:, level, None]
        for level, hw in enumerate(sizes_hw)
    ]
    return Levels(
        sizes_hw=sizes_hw,
        spatial_shapes=shapes,
        masks=masks,
        padding=torch.cat([mask.flatten(1) for mask in masks], dim=1),
        valid_ratios=counts / shapes.flip(-1),
        centres=torch.cat(centres, dim=1),
    )


def _unpadded_wh(mask: Bool[Tensor, "B H W"]) -> Float[Tensor, "B 2"]:
    valid = ~mask
    return torch.stack((valid[:, 0].sum(1), valid[:, :, 0].sum(1)), dim=-1).float()


def _pixel_centres(size_hw: tuple[int, int], device: torch.device) -> Float[Tensor, "HW 2"]:
    height, width = size_hw
    y, x = torch.meshgrid(
        torch.arange(height, device=device, dtype=torch.float32) + 0.5,
        torch.arange(width, device=device, dtype=torch.float32) + 0.5,
        indexing="ij",
    )
    return torch.stack((x, y), dim=-1).flatten(0, 1)
