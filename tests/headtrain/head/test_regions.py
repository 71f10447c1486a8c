"""Region features: both ways of computing them agree, and boxes are where they should be."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn.functional import avg_pool2d

from mfd.errors import ConfigError
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.head.regions import Regions
from mfd.kernels import roi_align
from tests.builders.batches import error, poison_padding, randomise, toy_batches, toy_spec

CONFIG = HeadConfig(roi_size=8, box_dim=16, mask_scoring=False)


def build(c1_channels: int = 12, strides: tuple[int, ...] = (8, 16, 32), **fields: Any) -> Regions:
    spec = toy_spec(strides=strides, c1_channels=c1_channels)
    regions = randomise(Regions(replace(CONFIG, **fields), spec))
    assert isinstance(regions, Regions)
    return regions


@pytest.mark.parametrize(
    ("c1_channels", "strides", "fields"),
    [
        (12, (8, 16, 32), {}),
        (12, (16, 32), {}),
        (64, (8, 16, 32), {"neck": False}),
        (64, (8, 16, 32), {"neck": False, "box_dim": None}),
        (12, (8, 16, 32), {"box_dim": None}),
        (12, (8, 16, 32), {"neck": False, "use_c1": False}),
        (12, (4, 8), {"neck": False, "use_c1": False}),
        (0, (14, 28), {"neck": False, "use_c1": False}),
        (12, (14, 28), {}),
    ],
)
def test_roi_align_first_and_last_give_the_same_regions_and_gradients(
    c1_channels: int, strides: tuple[int, ...], fields: dict[str, Any]
) -> None:
    module = build(c1_channels, strides, **fields)
    batch, _ = toy_batches(toy_spec(strides=strides, c1_channels=c1_channels))
    finest = batch.memory[0].requires_grad_()
    results = []
    for training in (True, False):
        regions = module.train(training)(finest, batch)
        weight = torch.linspace(-1, 1, regions.numel()).view(regions.shape)
        inputs = [finest, *module.parameters()]
        results.append((regions, torch.autograd.grad((regions * weight).sum(), inputs)))
    (few, few_grads), (many, many_grads) = results
    assert few.shape == (7, 8, 8, 64 if module.mapper is None else 16)
    assert error(few, many) < 1e-5
    for ours, theirs in zip(few_grads, many_grads, strict=True):
        assert error(ours, theirs) < 1e-4


@pytest.mark.parametrize("ratio", [0, 1, 2, 5])
def test_cells_have_the_samples_that_the_head_says(ratio: int) -> None:
    module = build(neck=False, use_c1=False, sampling_ratio=ratio, box_dim=None).eval()
    batch, _ = toy_batches(toy_spec(strides=(8, 16, 32), c1_channels=12))
    finest = batch.memory[0]
    boxes, sizes = module._boxes_xyxy(batch), module._maps(finest, batch).fine_hw
    expected = roi_align(
        module.feature_map(module._maps(finest, batch)), boxes, batch.image_index, 8,
        sizes_hw=sizes, sampling_ratio=ratio,
    )  # fmt: skip
    for training in (True, False):
        assert error(module.train(training)(finest, batch), expected) < 1e-5


@pytest.mark.parametrize("training", [True, False])
def test_a_batch_of_sizes_equals_each_image_alone_even_with_nan_on_the_padding(
    training: bool,
) -> None:
    module = build().train(training)
    batch, alone = toy_batches(toy_spec())
    poison_padding(batch)
    together = module(batch.memory[0], batch)
    expected = torch.cat([module(single.memory[0], single) for single in alone])
    assert error(together, expected) < 1e-5


def test_boxes_are_measured_in_the_detectors_input_pixels() -> None:
    """A ramp along x, read by a box, gives the pixel where each cell's centre lies."""
    module = build(64, neck=False, box_dim=None, roi_size=4)
    batch, _ = toy_batches(toy_spec(c1_channels=64))
    assert batch.c1 is not None
    batch.c1[:] = torch.arange(batch.c1.shape[2]).view(1, 1, -1, 1) + 0.5
    batch.boxes[:] = torch.tensor([0.5, 0.5, 0.4, 0.4])
    found = module(torch.zeros_like(batch.memory[0]), batch)
    for region, image in zip(found, batch.image_index.tolist(), strict=True):
        width = float(batch.input_hw[image, 1])  # 131 pixels make 33 columns, not 32.75
        expected = width / 4 * (0.3 + 0.4 * (torch.arange(4) + 0.5) / 4)
        torch.testing.assert_close(region[0, :, 0], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("stride", [4, 8, 14, 16, 21])
def test_boxes_are_measured_in_input_pixels_without_c1(stride: int, training: bool) -> None:
    """A ramp of the finest map's own pixels, up-sampled and read by a box inside the image."""
    module = build(0, (stride,), neck=False, use_c1=False, box_dim=None, roi_size=4)
    module.train(training)
    batch, _ = toy_batches(toy_spec(strides=(stride,), c1_channels=0))
    finest = batch.memory[0]
    finest[:] = stride * (torch.arange(finest.shape[2]).view(1, 1, -1, 1) + 0.5)
    batch.boxes[:] = torch.tensor([0.5, 0.5, 0.3, 0.3])
    found = module(finest, batch)
    for region, image in zip(found, batch.image_index.tolist(), strict=True):
        expected = float(batch.input_hw[image, 1]) * (0.35 + 0.3 * (torch.arange(4) + 0.5) / 4)
        torch.testing.assert_close(region[0, :, 0], expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("training", [True, False])
def test_cell_is_the_mean_of_two_by_two_samples(training: bool) -> None:
    """In a cell of 4 x 4 pixels they lie where four pixels meet: the mean of all 16."""
    module = build(64, neck=False, box_dim=None, roi_size=3).train(training)
    batch, _ = toy_batches(toy_spec(c1_channels=64))
    assert batch.c1 is not None
    width_height = batch.input_hw[batch.image_index].flip(1) / module.stride  # in pixels of F
    batch.boxes[:] = torch.tensor([7.0, 8, 12, 12]) / width_height.repeat(1, 2)  # from (1, 2) on
    found = module(torch.zeros_like(batch.memory[0]), batch)
    maps = batch.c1[batch.image_index, 2:14, 1:13].permute(0, 3, 1, 2)
    assert error(found, avg_pool2d(maps, 4).permute(0, 2, 3, 1)) < 1e-5


def test_a_batch_without_c1_is_refused_if_the_head_needs_it() -> None:
    batch, _ = toy_batches(toy_spec())
    batch.c1 = None
    with pytest.raises(ConfigError, match="the features have none"):
        build()(batch.memory[0], batch)
