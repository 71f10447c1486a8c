"""The whole head, in every variant the paper measures."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.head.batch import FeatureBatch, collate
from mfd.headtrain.head.model import HeadOutput, MaskHead
from mfd.headtrain.presets.paper import presets
from tests.builders.batches import (
    CLASSES,
    SIZES,
    error,
    poison_padding,
    randomise,
    toy_batches,
    toy_image,
    toy_spec,
)


def small(config: HeadConfig) -> HeadConfig:
    """The same blocks, quick to run: regions a quarter as large, widths of 64 and 16."""
    size = 16 if config.roi_size > 16 else 8
    box_dim = None if config.box_dim in (None, 256) else 16
    return replace(config, roi_size=size, box_dim=box_dim, num_heads=4)


VARIANTS = list(
    dict.fromkeys(
        (small(p.config), p.spec.strides)
        for p in presets().values()
        if p.table not in (10, 11, 13, 14)
    )
)


def build(config: HeadConfig, strides: tuple[int, ...]) -> MaskHead:
    head = MaskHead(config, toy_spec(strides=strides, c1_channels=64))
    randomise(head)
    return head


def describe(value: object) -> str:
    if not isinstance(value, HeadConfig):
        return str(len(value)) if isinstance(value, tuple) else str(value)
    default = small(HeadConfig())
    return ",".join(f"{k}={v}" for k, v in vars(value).items() if v != getattr(default, k))


def test_a_margin_gives_the_masks_of_larger_boxes() -> None:
    config = replace(small(HeadConfig()), frame_margin=0.25)
    plain, wide = (build(replace(config, frame_margin=m), (8, 16, 32)) for m in (0.0, 0.25))
    wide.load_state_dict(plain.state_dict())
    batch, _ = toy_batches(toy_spec(strides=(8, 16, 32), c1_channels=64))
    larger = batch.boxes * torch.tensor([1, 1, 1.25, 1.25])
    for training in (True, False):
        expected = plain.train(training)(replace(batch, boxes=larger))
        found = wide.train(training)(batch)
        assert torch.equal(found.frames, larger)
        assert torch.equal(found.mask_logits, expected.mask_logits)


def joined(outputs: list[HeadOutput]) -> torch.Tensor:
    return torch.cat([output.mask_logits for output in outputs])


@pytest.mark.parametrize(("config", "strides"), VARIANTS, ids=describe)
def test_a_batch_equals_each_image_alone_whatever_is_on_the_padding(
    config: HeadConfig, strides: tuple[int, ...]
) -> None:
    head = build(config, strides)
    batch, alone = toy_batches(toy_spec(strides=strides, c1_channels=64))
    poison_padding(batch)
    for training in (True, False):
        head.train(training)
        together = head(batch)
        outputs = [head(single) for single in alone]
        if config.roi_align:
            assert together.mask_logits.shape == (7, config.roi_size, config.roi_size)
            assert error(together.mask_logits, joined(outputs)) < 2e-5
        else:
            compare_whole_images(together, batch, outputs)
        if config.mask_scoring:
            assert together.iou is not None
            assert together.iou.shape == (7, CLASSES)
            estimates = [output.iou for output in outputs if output.iou is not None]
            assert error(together.iou, torch.cat(estimates)) < 2e-5
        else:
            assert together.iou is None


def compare_whole_images(
    together: HeadOutput, batch: FeatureBatch, outputs: list[HeadOutput]
) -> None:
    """The same mask and frame, as far as the image reaches: cells have one size in pixels."""
    sizes = (together.frames[:, 2:].flip(1) * batch.input_hw[batch.image_index]).round()
    expected = torch.tensor(together.mask_logits.shape[1:]) * 4.0
    assert torch.equal(sizes, expected.expand(7, 2))
    assert torch.equal(together.frames[:, :2], together.frames[:, 2:] / 2)  # from corner (0, 0)
    alone = [row for output in outputs for row in output.mask_logits]
    for found, single in zip(together.mask_logits, alone, strict=True):
        height, width = single.shape
        assert error(found[:height, :width], single) < 2e-5


@pytest.mark.parametrize(("config", "strides"), VARIANTS, ids=describe)
def test_gradients_reach_every_parameter(config: HeadConfig, strides: tuple[int, ...]) -> None:
    head = build(config, strides).train()
    output = head(toy_batches(toy_spec(strides=strides, c1_channels=64))[0])
    loss = output.mask_logits.square().mean()
    if output.iou is not None:
        loss = loss + output.iou.square().mean()
    if not list(head.parameters()):
        assert not loss.requires_grad
        return
    loss.backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name
        assert parameter.grad.isfinite().all(), name


def test_permuting_the_boxes_of_an_image_permutes_their_masks() -> None:
    head = build(small(replace(HeadConfig(), query_o2o=True)), (8, 16, 32)).eval()
    image = toy_image(toy_spec(c1_channels=64), SIZES[0])
    order = torch.tensor([4, 0, 3, 1, 2])
    queries, labels = torch.arange(5), torch.zeros(5, dtype=torch.long)
    expected = head(collate([image], [queries], [labels]))
    found = head(collate([image], [queries[order]], [labels]))
    assert error(found.mask_logits, expected.mask_logits[order]) < 1e-5
    assert found.iou is not None
    assert expected.iou is not None
    assert error(found.iou, expected.iou[order]) < 1e-5


@pytest.mark.parametrize("training", [True, False])
def test_an_image_without_boxes_and_one_with_a_hundred_work(training: bool) -> None:
    head = build(small(HeadConfig()), (8, 16, 32)).train(training)
    spec = replace(toy_spec(c1_channels=64), num_queries=100)
    image = toy_image(spec, SIZES[1])
    none = torch.tensor([], dtype=torch.long)
    for queries in ([none, none], [none, torch.arange(100)]):
        labels = [torch.zeros(len(chosen), dtype=torch.long) for chosen in queries]
        output = head(collate([image, image], queries, labels))
        boxes = sum(map(len, queries))
        assert output.mask_logits.shape == (boxes, 16, 16)
        assert output.iou is not None
        assert output.iou.shape == (boxes, CLASSES)
        assert output.mask_logits.isfinite().all()


@pytest.mark.parametrize("dim", [64, 96])
def test_other_widths_levels_and_strides_work(dim: int) -> None:
    """Two levels at strides 16 and 32, C1 of 64 channels, eight heads of 8 or 12 channels."""
    spec = toy_spec(dim=dim, strides=(16, 32), c1_channels=64)
    head = MaskHead(replace(HeadConfig(), roi_size=16), spec)
    batch, _ = toy_batches(spec)
    output = head(batch)
    assert output.mask_logits.shape == (7, 16, 16)
    assert torch.equal(output.frames, batch.boxes)
    assert output.mask_logits.isfinite().all()


def test_at_first_masks_are_undecided() -> None:
    """Scaled products of normalised features: no logit begins as a confident mistake."""
    spec = toy_spec(dim=256, strides=(16, 32), c1_channels=64)
    batch, _ = toy_batches(spec)
    logits = MaskHead(replace(HeadConfig(), roi_size=16), spec)(batch).mask_logits
    assert logits.std() < 2


@pytest.mark.parametrize("block", ["deformable", "swin", "convnext"])
def test_half_precision_stays_close_to_float32(block: Any) -> None:
    config = small(replace(HeadConfig(), image_encoder=block, box_encoder=block, query_o2o=True))
    head = build(config, (8, 16, 32))
    batch, _ = toy_batches(toy_spec(c1_channels=64))
    for training in (True, False):
        exact = head.train(training)(batch).mask_logits
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = head(batch.to("cpu", dtype=torch.bfloat16)).mask_logits
        assert error(found.float(), exact) < 0.1
