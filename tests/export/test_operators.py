"""The operators as gathers, against mfd's own: odd maps, points and boxes far outside."""

import pytest
import torch
from torch import Tensor, nn

import mfd.nn
from mfd.export.operators import deform_attn, from_windows, roi_read, to_windows
from mfd.export.parts import Part
from mfd.export.program import to_program
from mfd.kernels.roi_align.taps import axis_taps

SHAPES = torch.tensor([[5, 7], [3, 1], [1, 2]])
AREA = 5 * 7 + 3 + 2


def points(fused: bool) -> tuple[torch.Tensor, ...]:
    value = torch.randn(2, AREA, 3, 5, dtype=torch.float64)
    weights = torch.randn(2, 11, 3, 6, dtype=torch.float64)
    if fused:
        offsets = torch.randn(2, 11, 3, 6, 2, dtype=torch.float64) * 3
        references = torch.rand(2, 11, 3, 2, dtype=torch.float64) * 1.6 - 0.3
        return value, SHAPES, offsets, weights, references
    return value, SHAPES, torch.rand(2, 11, 3, 6, 2, dtype=torch.float64) * 1.6 - 0.3, weights


@pytest.mark.parametrize("fused", [True, False])
def test_gathered_attention_equals_the_operator(fused: bool) -> None:
    inputs = points(fused)
    inputs[2][0, 0, 0, 0] = 1e9
    reference = inputs[4] if fused else None
    expected = torch.ops.mfd.deform_attn(*inputs[:4], reference)
    found = deform_attn(*inputs[:4], reference)
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("with_sum", [True, False])
def test_gathered_regions_equal_the_operator(with_sum: bool) -> None:
    features = torch.randn(2, 9, 13, 4, dtype=torch.float64)
    low = torch.rand(2, 7, dtype=torch.float64) * 12 - 3
    high = low + torch.rand(2, 7, dtype=torch.float64) * 14
    image = torch.tensor([0, 1, 1, 0, 1, 0, 0])
    y = axis_taps(low[0], high[0], torch.full((7,), 9), 5, 2)
    x = axis_taps(low[1], high[1], torch.full((7,), 13), 5, 2)
    add = torch.randn(7, 5, 5, 4, dtype=torch.float64) if with_sum else None
    expected = torch.ops.mfd.roi_read(
        features, y.pixel, y.weight, x.pixel, x.weight, image, None if add is None else add.clone()
    )
    found = roi_read(features, y.pixel, y.weight, x.pixel, x.weight, image, add)
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size_hw", [(6, 9), (7, 8), (1, 2), (4, 3)])
@pytest.mark.parametrize(("window", "shift"), [(3, 0), (3, 1), (4, 2), (7, 3)])
def test_gathered_windows_equal_reshaped_ones(
    size_hw: tuple[int, int], window: int, shift: int
) -> None:
    maps = torch.randn(2, *size_hw, 5)
    expected = mfd.nn.to_windows(maps, window, shift)
    assert torch.equal(to_windows(maps, window, shift), expected)
    windows = torch.randn_like(expected)
    expected = mfd.nn.from_windows(windows, size_hw, window, shift)
    assert torch.equal(from_windows(windows, size_hw, window, shift), expected)


class Sizes(nn.Module):
    """Numbers made from the sides of a map, as detectors of Transformers make them."""

    def forward(self, maps: Tensor) -> tuple[Tensor, ...]:
        height, width = maps.shape[2:]
        return (
            torch.as_tensor([(height, width), (3, 4)], dtype=torch.long),
            torch.tensor([height // 2]),
            torch.linspace(0.5, height - 0.5, height, dtype=torch.float64),
            torch.linspace(0, 1, 3),
        )


def test_numbers_made_from_sizes_follow_them() -> None:
    names = {"maps": (None, None, "height", None)}
    program = to_program(Part("sizes", Sizes(), (), names, {}, (torch.rand(1, 1, 5, 6),)))
    for height in (1, 2, 7):
        maps = torch.rand(1, 1, height, 6)
        for found, expected in zip(program.module()(maps), Sizes()(maps), strict=True):
            assert found.dtype == expected.dtype
            torch.testing.assert_close(found, expected)
