"""Counting the size of a head."""

import math
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.presets.paper import find_preset
from mfd.headtrain.presets.preset import HDETR_R50
from mfd.headtrain.presets.sizes import ADD_MACS, ROI_ALIGN_MACS, UPSAMPLE_MACS, head_size
from tests.builders.batches import toy_batches, toy_spec


def test_whole_image_baseline_is_its_products_and_its_upsampling() -> None:
    config = find_preset("baseline-whole-c1").config
    pixels = 25 * 33  # an image of 97 x 130 at stride 4
    expected = pixels * 256 * (7 + UPSAMPLE_MACS + ADD_MACS)
    assert head_size(config, HDETR_R50, image_hw=(97, 130), num_boxes=7).macs == expected


def test_roi_baseline_without_c1_is_its_products_regions_and_upsampling() -> None:
    config = find_preset("baseline-roi").config
    pixels = 4 * 13 * 17  # stride 8, magnified by 2
    expected = 256 * (7 * 32 * 32 * (1 + ROI_ALIGN_MACS) + pixels * UPSAMPLE_MACS)
    assert head_size(config, HDETR_R50, image_hw=(97, 130), num_boxes=7).macs == expected


def test_every_box_costs_the_same() -> None:
    costs = [head_size(HeadConfig(), HDETR_R50, num_boxes=boxes).macs for boxes in (1, 101, 201)]
    assert costs[1] - costs[0] == costs[2] - costs[1] > 0


def test_linear_layer_counts_rows_times_columns_per_token() -> None:
    bare = replace(find_preset("box-deformable-1").config, image_layers=0)
    one_more = replace(bare, box_layers=2)
    per_token = 256 * 256 * 2 + 256 * 64 + 256 * 32 + 2 * 256 * 1024
    one, two = (head_size(config, HDETR_R50, num_boxes=3) for config in (bare, one_more))
    assert two.macs - one.macs == 3 * 32 * 32 * per_token


LARGE = HeadConfig(image_layers=3, box_layers=3, box_dim=32, roi_size=16, query_o2o=True)


@pytest.mark.parametrize(
    "config",
    [
        LARGE,
        replace(LARGE, image_encoder="swin", box_encoder="swin", mask_head="segmenter"),
        replace(LARGE, image_encoder="convnext", box_encoder="convnext", mask_scoring=False),
        replace(LARGE, image_layers=0, box_layers=2, box_dim=None, use_c1=False, neck=False),
    ],
    ids=["deformable", "swin", "convnext", "no image encoder"],
)
def test_size_is_that_of_the_whole_head(config: HeadConfig) -> None:
    spec = toy_spec()
    _, (batch, *_) = toy_batches(spec)
    height, width = (2 * side for side in batch.memory_hw[0, 0].tolist())
    add = 0
    if config.use_c1:
        assert batch.c1 is not None
        (_, height, width, _), add = batch.c1.shape, ADD_MACS
        batch.c1 = batch.c1.to("meta")
    batch.memory = [level.to("meta") for level in batch.memory]
    batch.queries, batch.boxes = batch.queries.to("meta"), batch.boxes.to("meta")
    with torch.device("meta"):
        head = MaskHead(config, spec).eval().requires_grad_(False)
    free = dict.fromkeys((torch.ops.mfd.deform_attn, torch.ops.mfd.roi_read), lambda *_, **__: 0)
    with FlopCounterMode(display=False, custom_mapping=free) as counter:
        head(batch)
    cells = len(batch.boxes) * config.roi_size**2
    sampling = ROI_ALIGN_MACS * cells * config.region_dim(spec)
    sampling += (UPSAMPLE_MACS + add) * height * width * spec.dim
    # eq. 11 projects keys and values of all cells; the head projects queries instead, and each of
    # its heads attends in full width
    dim, heads = config.region_dim(spec), config.num_heads
    projected = cells * (2 * dim**2 + 2 * dim - 2 * heads * dim) - len(batch.boxes) * 2 * dim**2
    # in the last deformable image layer only the finest level asks: offsets, weights, output, FFN
    coarse = sum(math.prod(level.shape[:3]) for level in batch.memory[1:])
    asked = config.num_heads * len(spec.strides) * config.num_points * 3 + 9 * spec.dim
    deformable = config.image_layers > 0 and config.image_encoder == "deformable"
    unasked = coarse * spec.dim * asked if deformable else 0
    size = head_size(config, spec, tuple(batch.input_hw[0].tolist()), len(batch.boxes))
    counted = counter.get_total_flops() // 2 + sampling + unasked
    assert size.macs == counted + config.box_layers * projected
    assert size.parameters == sum(parameter.numel() for parameter in head.parameters())


def test_sizes_follow_the_detectors_widths() -> None:
    narrow = replace(HDETR_R50, dim=96, strides=(16, 32), c1_channels=64)
    small, large = (head_size(HeadConfig(), spec) for spec in (narrow, HDETR_R50))
    assert small.parameters < large.parameters
    assert small.macs < large.macs
