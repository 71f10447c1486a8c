"""Swin, checked cell by cell; whole models are compared in tests/extract/test_official.py."""

import itertools

import pytest
import torch
from torch import Tensor

from mfd.detectors.backbones.swin import PatchMerging, Stage, Swin, relative_index, shift_mask


def test_the_bias_index_is_the_offset_of_query_and_key() -> None:
    window = 3
    index = relative_index(window)
    cells = list(itertools.product(range(window), repeat=2))
    for (q, (y, x)), (k, (v, u)) in itertools.product(enumerate(cells), repeat=2):
        assert index[q, k] == (y - v + window - 1) * (2 * window - 1) + x - u + window - 1


def _stage(window: int) -> Stage:
    torch.manual_seed(2)
    stage = Stage(8, depth=2, heads=2, window=window, merges=False)
    for block in stage.blocks:
        torch.nn.init.normal_(block.attn.relative_position_bias_table)
    return stage


def _attend_to_all_cells(block: torch.nn.Module, x: Tensor, window: int, shift: int) -> Tensor:
    """One block's attention by a dense mask over all cells of the map, padded to whole windows."""
    height, width, dim = x.shape
    rows, columns = height + -height % window, width + -width % window
    padded = torch.zeros(rows, columns, dim)
    padded[:height, :width] = block.norm1(x)
    qkv = block.attn.qkv(padded).view(rows * columns, 3, 2, dim // 2)
    query, key, value = qkv.permute(1, 2, 0, 3)
    place = torch.cartesian_prod(torch.arange(rows), torch.arange(columns))
    rolled = torch.stack(((place[:, 0] - shift) % rows, (place[:, 1] - shift) % columns), dim=-1)
    same_window = (rolled[:, None] // window == rolled[None] // window).all(-1)
    # A window that wraps around holds cells from opposite edges: those must not meet.
    wraps = (rolled[:, None] - rolled[None] == place[:, None] - place[None]).all(-1)
    offset = (place[:, None] - place[None]).clamp(1 - window, window - 1) + window - 1
    table = block.attn.relative_position_bias_table
    bias = table[offset[..., 0] * (2 * window - 1) + offset[..., 1]].permute(2, 0, 1)
    logits = query @ key.transpose(1, 2) / (dim // 2) ** 0.5 + bias
    logits = logits.masked_fill(~(same_window & wraps), -torch.inf)
    out = (logits.softmax(-1) @ value).transpose(0, 1).reshape(rows, columns, dim)
    return block.attn.proj(out)[:height, :width]


@pytest.mark.parametrize(("size", "window"), [((7, 10), 4), ((3, 2), 4), ((4, 9), 3)])
def test_blocks_attend_within_shifted_windows_also_on_small_maps(
    size: tuple[int, int], window: int
) -> None:
    stage = _stage(window)
    x = torch.randn(2, *size, 8)
    mask = shift_mask(x, window)
    for number, block in enumerate(stage.blocks):
        shift = window // 2 if number else 0
        for image, found in zip(x, block(x, mask), strict=True):
            after = image + _attend_to_all_cells(block, image, window, shift)
            hidden = torch.nn.functional.gelu(block.mlp["fc1"](block.norm2(after)))
            assert found.allclose(after + block.mlp["fc2"](hidden), atol=1e-5)


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
