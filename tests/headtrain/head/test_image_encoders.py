"""The image encoders: padding of any kind changes nothing, every level is used."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.head.image_encoders import build_image_encoder
from tests.builders.batches import error, randomise, toy_batches, toy_spec

CONFIG = HeadConfig(num_heads=4, num_points=2)
BLOCKS = ["deformable", "swin", "convnext"]


def build(block: Any, layers: int = 2) -> nn.Module:
    config = replace(CONFIG, image_encoder=block, image_layers=layers)
    return randomise(build_image_encoder(config, toy_spec()))


@pytest.mark.parametrize("block", BLOCKS)
def test_a_batch_of_sizes_equals_each_image_alone(block: str) -> None:
    encoder = build(block)
    batch, alone = toy_batches(toy_spec())
    together = encoder(batch.memory, batch.memory_hw)
    for image, single in enumerate(alone):
        expected = encoder(single.memory, single.memory_hw)[0]
        height, width = expected.shape[:2]
        assert error(together[image, :height, :width], expected) < 2e-6


@pytest.mark.parametrize(("layers", "reach"), [(1, 14), (2, 21)])
def test_swin_windows_have_14_cells_and_every_second_layer_shifts_them(
    layers: int, reach: int
) -> None:
    # windows begin at 0, 14, 28; shifted by 7 they begin at 0, 7, 21: two layers reach 21 from 0
    encoder, size = build("swin", layers).double(), torch.tensor([[[31, 29]]])
    finest = torch.randn(1, 31, 29, toy_spec().dim, dtype=torch.float64)
    other = finest.clone()
    other[0, 3, 5] = torch.randn(toy_spec().dim)
    with torch.no_grad():
        moved = (encoder([finest], size) - encoder([other], size)).abs().amax(-1)[0] > 0
    expected = torch.zeros(31, 29, dtype=torch.bool)
    expected[:reach, :reach] = True
    assert torch.equal(moved, expected)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_layer_changes_the_map_and_gets_gradients(block: str) -> None:
    batch, _ = toy_batches(toy_spec())
    encoder = build(block, layers=3)
    encoder(batch.memory, batch.memory_hw)[0, :4, :4].square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_without_layers_the_finest_map_passes_unchanged() -> None:
    batch, _ = toy_batches(toy_spec())
    encoder = build_image_encoder(replace(CONFIG, image_layers=0), toy_spec())
    assert encoder(batch.memory, batch.memory_hw) is batch.memory[0]


def test_deformable_attention_reads_every_level_and_the_others_only_the_finest() -> None:
    _, (image, *_) = toy_batches(toy_spec())
    for block in BLOCKS:
        encoder = build(block)
        before = encoder(image.memory, image.memory_hw)
        coarse = [*image.memory[:2], torch.randn_like(image.memory[2])]
        changed = not torch.equal(encoder(coarse, image.memory_hw), before)
        assert changed == (block == "deformable")


def test_reference_points_lie_at_the_same_place_of_the_image_on_every_level() -> None:
    """Without offsets and with equal weights, attention on ramps gives the ramp's own value."""
    spec = toy_spec(dim=8, strides=(8, 16))
    config = replace(CONFIG, image_layers=1, num_heads=2, num_points=1)
    encoder = build_image_encoder(config, spec)
    attention = encoder.layers[0].attention
    for parameter in attention.parameters():
        nn.init.zeros_(parameter)
    nn.init.eye_(attention.value_proj.weight)
    nn.init.eye_(attention.output_proj.weight)
    seen = {}
    attention.register_forward_hook(lambda *call: seen.update(out=call[2]))
    sizes = [(12, 20), (6, 10)]
    ramps = []
    for height, width in sizes:
        y = ((torch.arange(height) + 0.5) / height)[:, None].expand(height, width)
        x = ((torch.arange(width) + 0.5) / width).expand(height, width)
        ramps.append(torch.stack([y, x] * 4, -1)[None])
    padded = [torch.nn.functional.pad(r, (0, 0, 0, 5, 0, 3)) for r in ramps]
    encoder(padded, torch.tensor([sizes]))
    found = seen["out"][:, : 15 * 25].view(15, 25, 8)
    inner = found[2:10, 2:18]  # away from the border, where bilinear reading meets padding
    assert error(inner, ramps[0][0, 2:10, 2:18]) < 1e-5
