"""The whole mask head: a batch of frozen features in, one mask per box out."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mfd.detectors import DetectorSpec
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.head.batch import FeatureBatch
from mfd.headtrain.head.box_encoders import build_box_encoder
from mfd.headtrain.head.image_encoders import build_image_encoder
from mfd.headtrain.head.mask_head import DotProduct, SegmenterHead
from mfd.headtrain.head.mask_scoring import MaskScoring
from mfd.headtrain.head.padding import zero_padding
from mfd.headtrain.head.query_encoder import QueryLayer
from mfd.headtrain.head.regions import Regions
from mfd.nn import enlarged


@dataclass
class HeadOutput:
    """One mask per box of the batch, in the batch's order.

    Attributes:
        mask_logits: row 0 at the frame's top, column 0 at its left.
        frames: where each mask lies in its image, (centre x, centre y, width, height), 0 and 1
            being the image's edges: the boxes and their margin, or what a map with its padding
            covers for heads without RoIAlign.
        iou: estimate of each mask's IoU with its object for every class, or in one column for all
            of them if the head is class-agnostic, unbounded; None for heads without mask scoring.
    """

    mask_logits: Float[Tensor, "N h w"]
    frames: Float[Tensor, "N 4"]
    iou: Float[Tensor, "N K"] | None


class MaskHead(nn.Module):
    """Masks from queries, boxes and feature maps of a frozen detector (figure 7).

    Raises:
        ConfigError: if the config and the detector's widths do not fit.
    """

    def __init__(self, config: HeadConfig, spec: DetectorSpec) -> None:
        super().__init__()
        config.check(spec)
        self.config, self.spec = config, spec
        dim = config.region_dim(spec)
        self.image_encoder = build_image_encoder(config, spec)
        self.regions = Regions(config, spec)
        self.query_mapper = nn.Linear(spec.dim, dim) if dim != spec.dim else nn.Identity()
        self.box_encoder = build_box_encoder(config, dim)
        self.query_layers = nn.ModuleList(QueryLayer(config, dim) for _ in range(config.box_layers))
        self.mask_head = SegmenterHead(dim) if config.mask_head == "segmenter" else DotProduct()
        self.mask_scoring = (
            MaskScoring(
                dim, config.roi_size, 1 if config.class_agnostic else len(spec.category_ids)
            )
            if config.mask_scoring
            else None
        )

    def forward(self, batch: FeatureBatch) -> HeadOutput:
        """The masks of all boxes of a batch."""
        batch = batch.in_working_type()
        memory = [
            zero_padding(level, batch.memory_hw[:, index])
            for index, level in enumerate(batch.memory)
        ]
        finest = self.image_encoder(memory, batch.memory_hw)
        queries = self.query_mapper(batch.queries)
        if not self.config.roi_align:
            return self._whole_image_masks(finest, queries, batch)
        if self.config.frame_margin:
            batch = replace(batch, boxes=enlarged(batch.boxes, self.config.frame_margin))
        regions, groups = self.regions(finest, batch), batch.attention_groups
        for index, query_layer in enumerate(self.query_layers):
            regions = self.box_encoder(regions, index)
            queries = query_layer(queries, regions, batch.boxes, groups)
        mask_logits = self.mask_head(queries, regions)
        iou = None if self.mask_scoring is None else self.mask_scoring(mask_logits, regions)
        return HeadOutput(mask_logits, batch.boxes, iou)

    def _whole_image_masks(
        self, finest: Float[Tensor, "B h w D"], queries: Float[Tensor, "N d"], batch: FeatureBatch
    ) -> HeadOutput:
        """Masks of the whole image, the rows of table 1 without RoIAlign."""
        maps = self.regions.whole_maps(finest, batch)
        covered_wh = torch.tensor(maps.shape[2:0:-1], device=maps.device) * self.regions.stride
        size = covered_wh / batch.input_hw.to(maps).flip(1)  # (B, 2): width, height
        frames = torch.cat([size / 2, size], 1)[batch.image_index]
        mask_logits = [
            self.mask_head(queries[batch.image_index == index], maps[index, None])
            for index in range(len(maps))
        ]
        return HeadOutput(torch.cat(mask_logits), frames, None)
