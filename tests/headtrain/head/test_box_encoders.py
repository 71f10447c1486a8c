"""The box encoders: each region on its own, position known only to the deformable one."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.head.box_encoders import build_box_encoder
from tests.builders.batches import error, randomise

BLOCKS = ["deformable", "swin", "convnext"]


def build(block: Any) -> nn.Module:
    config = replace(HeadConfig(), box_encoder=block, roi_size=16, num_heads=4)
    return randomise(build_box_encoder(config, 24))


def run(encoder: nn.Module, regions: torch.Tensor) -> torch.Tensor:
    return encoder(encoder(regions, 0), 1)


@pytest.mark.parametrize("block", BLOCKS)
def test_regions_do_not_know_of_each_other(block: str) -> None:
    encoder, regions = build(block), torch.randn(3, 16, 16, 24)
    together = run(encoder, regions)
    assert error(together[1:2], run(encoder, regions[1:2])) < 1e-6
    assert run(encoder, regions[:0]).shape == (0, 16, 16, 24)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_parameter_gets_gradients(block: str) -> None:
    encoder = build(block)
    run(encoder, torch.randn(2, 16, 16, 24)).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_all_deformable_layers_share_one_position_embedding() -> None:
    encoder = build("deformable")
    positions = [n for n, p in encoder.named_parameters() if p.shape == (16, 16, 24)]
    assert positions == ["position"]
    regions = torch.randn(1, 16, 16, 24)
    before = [encoder(regions, layer) for layer in (0, 1)]
    nn.init.normal_(encoder.position)
    for layer in (0, 1):
        assert not torch.equal(encoder(regions, layer), before[layer])


def test_reference_points_are_the_cells_themselves() -> None:
    encoder = build("deformable")
    attention = encoder.layers[0].attention
    for parameter in attention.parameters():
        nn.init.zeros_(parameter)
    nn.init.eye_(attention.value_proj.weight)
    nn.init.eye_(attention.output_proj.weight)
    seen = {}
    attention.register_forward_hook(lambda *call: seen.update(out=call[2]))
    regions = torch.randn(2, 16, 16, 24)
    encoder(regions, 0)
    assert error(seen["out"].view(regions.shape), regions) < 1e-5


@pytest.mark.parametrize(
    ("block", "names"),
    [
        (
            "deformable",
            "attention.sampling_offsets attention.attention_weights attention.value_proj "
            "attention.output_proj attention_norm feed_forward.linear1 feed_forward.linear2 "
            "feed_forward_norm",
        ),
        (
            "swin",
            "attention_norm attention.qkv attention.output_proj attention.relative_bias "
            "feed_forward_norm feed_forward.linear1 feed_forward.linear2",
        ),
        ("convnext", "depthwise norm layer_scale feed_forward.linear1 feed_forward.linear2"),
    ],
)
def test_names_are_those_of_heads_that_were_saved_before(block: str, names: str) -> None:
    layer = build(block).layers[1]
    found = [name for name, _ in layer.named_parameters()]
    assert {name.removesuffix(".weight").removesuffix(".bias") for name in found} == {
        *names.split()
    }
    assert found == list(layer.state_dict())
