"""Swin's patches, levels and saved names; whole models are compared in test_official."""

import torch

from mfd.detectors.backbones.swin import PatchMerging, Stage, Swin


def test_merging_joins_four_neighbours_column_by_column() -> None:
    merging = PatchMerging(2)
    merging.norm, merging.reduction = torch.nn.Identity(), torch.nn.Identity()
    x = torch.arange(30.0).view(1, 3, 5, 2)
    merged = merging(x)
    assert merged.shape == (1, 2, 3, 8)
    expected = torch.cat((x[0, 0, 2], x[0, 1, 2], x[0, 0, 3], x[0, 1, 3]))
    assert merged[0, 0, 1].equal(expected)
    assert merged[0, 1, 2].equal(torch.cat((x[0, 2, 4], torch.zeros(6))))


def test_levels_follow_from_the_stage_1_map() -> None:
    backbone = Swin(8, depths=(1, 1, 2, 1), heads=(1, 2, 2, 4), window=3).eval()
    c1 = backbone.stage1(torch.randn(1, 3, 39, 70))
    assert c1.shape == (1, backbone.c1_channels, 10, 18)
    shapes = [m.shape for m in backbone.levels(c1)]
    assert shapes == [(1, 16, 5, 9), (1, 32, 3, 5), (1, 64, 2, 3)]
    assert backbone.channels == (16, 32, 64)


def test_blocks_are_saved_under_the_official_names() -> None:
    names = {name.split(".", 2)[2] for name in Stage(8, 2, 2, 3, merges=False).state_dict()}
    linear = {"attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2", "norm1", "norm2"}
    expected = {f"{name}.{kind}" for name in linear for kind in ("weight", "bias")}
    assert names == expected | {"attn.relative_position_bias_table"}


def test_every_second_block_shifts_its_windows() -> None:
    blocks = Stage(8, depth=3, heads=2, window=5, merges=False).blocks
    assert [block.attention.shift for block in blocks] == [0, 2, 0]
