"""The sampling operations of the head as modules, so that counting and profiling can see them."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mfd.kernels import ms_deform_attn_fused, roi_align, roi_align_upsampled

SAMPLING_RATIO = 2
"""RoIAlign's samples per cell and axis. [ours, Mask R-CNN's]"""


class DeformableSampling(nn.Module):
    """`mfd.kernels.ms_deform_attn_fused`."""

    def forward(
        self,
        value: Float[Tensor, "B S M C"],
        spatial_shapes: Int[Tensor, "L 2"],
        offsets: Float[Tensor, "B Q M T 2"],
        logits: Float[Tensor, "B Q M T"],
        reference_points: Float[Tensor, "B Q L 2"],
    ) -> Float[Tensor, "B Q M C"]:
        """Attention-weighted samples of `value` around each query's reference points."""
        return ms_deform_attn_fused(value, spatial_shapes, offsets, logits, reference_points)


class RoIAlign(nn.Module):
    """`mfd.kernels.roi_align.api` with this project's settings."""

    def __init__(self, output_size: int) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(
        self,
        maps: Float[Tensor, "B H W C"],
        boxes_xyxy: Float[Tensor, "N 4"],
        image_index: Int[Tensor, " N"],
        sizes_hw: Int[Tensor, "B 2"],
    ) -> Float[Tensor, "N s s C"]:
        """The regions of the boxes (pixels of the maps); `sizes_hw`: each map's without padding."""
        return roi_align(
            maps, boxes_xyxy, image_index, self.output_size,
            sizes_hw=sizes_hw, sampling_ratio=SAMPLING_RATIO, aligned=True,
        )  # fmt: skip


class RoIAlignUpsampled(nn.Module):
    """`mfd.kernels.roi_align_upsampled` with this project's settings."""

    def __init__(self, output_size: int) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(
        self,
        coarse: Float[Tensor, "B h w C"],
        boxes_xyxy: Float[Tensor, "N 4"],
        image_index: Int[Tensor, " N"],
        coarse_hw: Int[Tensor, "B 2"],
        fine_hw: Int[Tensor, "B 2"],
        add: Float[Tensor, "N s s C"] | None = None,
    ) -> Float[Tensor, "N s s C"]:
        """The regions of maps up-sampled to `fine_hw`, plus `add`; boxes are in fine pixels."""
        if add is not None:
            add = add.to(coarse.dtype)  # they differ under autocast
        return roi_align_upsampled(
            coarse, boxes_xyxy, image_index, self.output_size,
            coarse_hw=coarse_hw, fine_hw=fine_hw, sampling_ratio=SAMPLING_RATIO, add=add,
        )  # fmt: skip


class Upsample(nn.Module):
    """Bilinear interpolation of every image from and to a size of its own."""

    def forward(
        self,
        maps: Float[Tensor, "B h w C"],
        from_hw: Int[Tensor, "B 2"],
        to_hw: Int[Tensor, "B 2"],
        height: int,
        width: int,
        add: Float[Tensor, "B H W C"] | None = None,
    ) -> Float[Tensor, "B H W C"]:
        """Maps of `height` x `width`, plus `add`; beyond `to_hw` they repeat the border.

        Equals `interpolate(maps[i, :h_i, :w_i], to_hw[i], mode="bilinear", align_corners=False)`.
        """
        rows = _resize_axis(maps, 1, from_hw[:, 0], to_hw[:, 0], height)
        resized = _resize_axis(rows, 2, from_hw[:, 1], to_hw[:, 1], width)
        return resized if add is None else resized + add


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
