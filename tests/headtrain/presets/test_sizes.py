"""Counting the size of a head."""

from dataclasses import replace

from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.presets.paper import HDETR_R50, find_preset
from mfd.headtrain.presets.sizes import ADD_MACS, UPSAMPLE_MACS, count_macs, count_parameters


def test_the_whole_image_baseline_is_its_products_and_its_upsampling() -> None:
    config = find_preset("baseline-whole-c1").config
    pixels = 25 * 33  # an image of 97 x 130 at stride 4
    expected = pixels * 256 * (7 + UPSAMPLE_MACS + ADD_MACS)
    assert count_macs(config, HDETR_R50, image_hw=(97, 130), num_boxes=7) == expected


def test_every_box_costs_the_same() -> None:
    costs = [count_macs(HeadConfig(), HDETR_R50, num_boxes=boxes) for boxes in (1, 101, 201)]
    assert costs[1] - costs[0] == costs[2] - costs[1] > 0


def test_a_linear_layer_counts_rows_times_columns_per_token() -> None:
    bare = replace(find_preset("box-deformable-1").config, image_layers=0)
    one_more = replace(bare, box_layers=2)
    per_token = 256 * 256 * 2 + 256 * 64 + 256 * 32 + 2 * 256 * 1024
    added = count_macs(one_more, HDETR_R50, num_boxes=3) - count_macs(bare, HDETR_R50, num_boxes=3)
    assert added == 3 * 32 * 32 * per_token


def test_sizes_follow_the_detectors_widths() -> None:
    narrow = replace(HDETR_R50, dim=96, strides=(16, 32), c1_channels=64)
    assert count_parameters(HeadConfig(), narrow) < count_parameters(HeadConfig(), HDETR_R50)
    assert count_macs(HeadConfig(), narrow) < count_macs(HeadConfig(), HDETR_R50)
