"""From feature maps to the region features of every box: eq. 1, 5, 14, the channel mapper, eq. 3.

    F = neck(C1) + up-sampled E1        R_i = RoIAlign(mapper(F), box i)

All of it but GroupNorm's statistics is linear, so RoIAlign may come first. Both ways give the same
regions. Training has few boxes, and C1 needs no gradient: RoIAlign comes first and F is never made.
Inference has a hundred boxes, more region cells than F has pixels: the equations as they stand.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mfd.detectors import DetectorSpec
from mfd.errors import ConfigError
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.head.batch import FeatureBatch
from mfd.headtrain.head.neck import ChannelMoments, Neck
from mfd.headtrain.head.padding import zero_padding
from mfd.headtrain.head.upsample import upsample
from mfd.kernels import BoxReader, roi_align
from mfd.nn import Linear, cxcywh_to_xyxy, linear


class Maps(NamedTuple):
    """The maps that regions are cut from; both have zeros on their padding.

    Attributes:
        coarse: E1 behind the image encoder.
        fine_hw: each image's own size at the resolution of F.
        c1: the backbone map at the resolution of F, or None.
    """

    coarse: Float[Tensor, "B h w D"]
    coarse_hw: Int[Tensor, "B 2"]
    fine_hw: Int[Tensor, "B 2"]
    c1: Float[Tensor, "B H W C"] | None


class Regions(nn.Module):
    """The region features of every box, d channels wide."""

    def __init__(self, config: HeadConfig, spec: DetectorSpec) -> None:
        super().__init__()
        dim = config.region_dim(spec)
        self.use_c1, self.roi_size = config.use_c1, config.roi_size
        self.sampling_ratio = config.sampling_ratio
        self.magnification = max(spec.strides[0] // spec.c1_stride, 1)
        self.stride = spec.c1_stride if config.use_c1 else spec.strides[0] / self.magnification
        self.neck = Neck(spec.c1_channels, spec.dim) if config.neck else None
        self.mapper = Linear(spec.dim, dim) if dim != spec.dim else None  # PyTorch's own init

    def forward(
        self, finest: Float[Tensor, "B h w D"], batch: FeatureBatch
    ) -> Float[Tensor, "N s s d"]:
        """R of every box; `finest` is E1 behind the image encoder."""
        maps, boxes = self._maps(finest, batch), self._boxes_xyxy(batch)
        image_index = batch.image_index.to(finest.device)
        if self.training:
            return self.from_regions(maps, boxes, image_index)
        return roi_align(
            self.feature_map(maps), boxes, image_index, self.roi_size,
            sizes_hw=maps.fine_hw, sampling_ratio=self.sampling_ratio,
        )  # fmt: skip

    def whole_maps(
        self, finest: Float[Tensor, "B h w D"], batch: FeatureBatch
    ) -> Float[Tensor, "B H W d"]:
        """The mapped F itself, for heads without RoIAlign."""
        return self.feature_map(self._maps(finest, batch))

    def feature_map(self, maps: Maps) -> Float[Tensor, "B H W d"]:
        """The mapped F; its padding holds nothing of use."""
        full = maps.coarse
        if maps.c1 is not None:
            _, height, width, _ = maps.c1.shape
            c1 = maps.c1 if self.neck is None else self.neck(maps.c1, maps.fine_hw)
            full = c1 + upsample(full, maps.coarse_hw, maps.fine_hw, height, width)
        elif self.magnification > 1:
            height, width = (self.magnification * side for side in full.shape[1:3])
            full = upsample(full, maps.coarse_hw, maps.fine_hw, height, width)
        return full if self.mapper is None else self.mapper(full)

    def from_regions(
        self, maps: Maps, boxes_xyxy: Float[Tensor, "N 4"], image_index: Int[Tensor, " N"]
    ) -> Float[Tensor, "N s s d"]:
        """RoIAlign of the mapped F without F; `boxes_xyxy` in its pixels."""
        read = BoxReader(
            boxes_xyxy, image_index, self.roi_size,
            fine_hw=maps.fine_hw, coarse_hw=maps.coarse_hw, sampling_ratio=self.sampling_ratio,
        )  # fmt: skip
        # RoIAlign of ones: what a constant such as a bias becomes where boxes leave the image.
        inside = read.coarse(torch.ones_like(maps.coarse[..., :1]))
        added = None
        if maps.c1 is not None:
            added = read.fine(maps.c1)
            if self.neck is not None:
                moments = ChannelMoments.of(maps.c1, maps.fine_hw)
                added = self.neck.on_regions(added, inside, image_index, moments)
        regions = read.coarse(maps.coarse, added)
        if self.mapper is None:
            return regions
        constant = inside * self.mapper.bias.to(inside)
        return linear(regions, self.mapper.weight) + constant

    def _maps(self, finest: Tensor, batch: FeatureBatch) -> Maps:
        coarse_hw = batch.memory_hw[:, 0].to(finest.device)
        coarse = zero_padding(finest, coarse_hw)
        if not self.use_c1:
            return Maps(coarse, coarse_hw, coarse_hw * self.magnification, None)
        if batch.c1 is None:
            raise ConfigError(
                "this head adds the stage-1 map C1, but the features have none; "
                "read a store that has it, or train a head with use_c1=false and neck=false"
            )
        fine_hw = batch.c1_hw.to(finest.device)
        return Maps(coarse, coarse_hw, fine_hw, zero_padding(batch.c1, fine_hw))

    def _boxes_xyxy(self, batch: FeatureBatch) -> Float[Tensor, "N 4"]:
        """Corners of the boxes in pixels of F."""
        scale = batch.input_hw.to(batch.boxes).flip(1).repeat(1, 2) / self.stride  # (B, 4)
        return cxcywh_to_xyxy(batch.boxes) * scale[batch.image_index]
