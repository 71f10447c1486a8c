"""Tap tables against the definition, sample by sample."""

import pytest
import torch
from torch.nn.functional import interpolate

from mfd.kernels.roi_align.op import roi_taps
from mfd.kernels.roi_align.reference import dense_taps
from mfd.kernels.roi_align.taps import axis_taps, box_taps, merge_taps, narrowed, upsampling_taps
from tests.kernels.oracle import DEVICE, axis_samples
from tests.kernels.roi_align.inputs import SIZES, make_inputs

EDGES = [  # of boxes along one axis of 9 pixels
    (1.0, 6.5),
    (-3.0, 12.0),  # leaves on both sides
    (4.0, 4.0),  # no width
    (6.0, 2.0),  # negative width
    (3.1, 3.2),  # tiny
    (0.0, 9.0),  # the whole axis
    (-0.7, 0.4),  # across the border
    (20.0, 30.0),  # outside
    (8.9, 11.0),
]
SIZE = 9


def literal_matrix(low: float, high: float, cells: int, ratio: int, aligned: bool) -> torch.Tensor:
    """What each cell reads of each pixel, (SIZE, cells)."""
    matrix = torch.zeros(SIZE, cells, dtype=torch.float64)
    samples = axis_samples(low, high, SIZE, cells, ratio, aligned)
    for cell in range(cells):
        for at, share in samples(cell):
            first = int(at)
            matrix[first, cell] += (1 - (at - first)) * share
            matrix[min(first + 1, SIZE - 1), cell] += (at - first) * share
    return matrix


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 1, 2, 4])
def test_taps_are_those_of_the_definition(ratio: int, aligned: bool) -> None:
    low, high = torch.tensor(EDGES, dtype=torch.float64).unbind(1)
    size = torch.full((len(EDGES),), SIZE)
    taps = axis_taps(low, high, size, 3, ratio, aligned)
    expected = torch.stack([literal_matrix(*edge, 3, ratio, aligned) for edge in EDGES])
    torch.testing.assert_close(dense_taps(*taps, SIZE), expected)
    torch.testing.assert_close(dense_taps(*merge_taps(taps), SIZE), expected)


@pytest.mark.parametrize("ratio", [0, 2])
def test_boxes_that_are_not_finite_read_nothing(ratio: int) -> None:
    nan, inf = float("nan"), float("inf")
    low, high = torch.tensor([(nan, 1.0), (0.0, inf), (-inf, inf), (1e30, 2e30)]).unbind(1)
    taps = axis_taps(
        low[: 4 if ratio else 3],
        high[: 4 if ratio else 3],
        torch.full((4,), SIZE)[: 4 if ratio else 3],
        3,
        ratio,
    )
    assert not taps.weight.any()
    assert ((taps.pixel >= 0) & (taps.pixel < SIZE)).all()


@pytest.mark.parametrize("coarse", [1, 4, 5])
@pytest.mark.parametrize("fine", [7, 8, 10])
def test_composed_taps_read_the_upsampled_axis(coarse: int, fine: int) -> None:
    low, high = torch.tensor(EDGES, dtype=torch.float64).unbind(1)
    sizes = torch.full((len(EDGES),), fine), torch.full((len(EDGES),), coarse)
    taps = axis_taps(low, high, sizes[0], 3, 2)
    upsampling = interpolate(
        torch.eye(coarse, dtype=torch.float64)[None], size=fine, mode="linear"
    )[0]  # (coarse, fine)
    expected = upsampling @ dense_taps(*taps, fine)
    composed = upsampling_taps(taps, *sizes)
    torch.testing.assert_close(dense_taps(*composed, coarse), expected)
    torch.testing.assert_close(dense_taps(*merge_taps(composed), coarse), expected)


def test_merged_taps_of_a_middling_box_are_three_per_cell() -> None:
    low, high = torch.tensor([5.0]), torch.tensor([45.0])  # 1.25 fine pixels per cell
    taps = axis_taps(low, high, torch.tensor([100]), 32, 2)
    composed = upsampling_taps(taps, torch.tensor([100]), torch.tensor([50]))
    composed = narrowed(merge_taps(composed))
    assert composed.pixel.shape == (1, 32, 3)
    assert (composed.pixel.diff(dim=-1)[composed.weight[..., 1:] != 0] > 0).all()


@pytest.mark.parametrize("samples", [1, 2, 3])
@pytest.mark.parametrize("up", [False, True])
def test_tables_made_at_once_are_those_made_step_by_step(path: str, samples: int, up: bool) -> None:
    """Three samples fill no power of two."""
    nan, inf = float("nan"), float("inf")
    _, boxes, images = make_inputs()
    odd = torch.tensor([(nan, 0, 3, 3), (0, 0, inf, 3), (0, 0, 1e30, 1e30)])
    boxes = torch.cat([boxes, odd.to(boxes)])
    images = torch.cat([images, images[:3]])
    fine = torch.tensor([(14, 18), (9, 11)], device=DEVICE)
    for aligned in (True, False):
        arguments = (boxes, images, fine, SIZES.to(DEVICE) if up else None, 3, samples, aligned)
        pixel, weight = roi_taps(*arguments)
        expected = box_taps(*arguments)
        assert torch.equal(pixel.long(), expected.pixel)
        torch.testing.assert_close(weight, expected.weight)
