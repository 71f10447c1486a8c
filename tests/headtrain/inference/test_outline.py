import numpy as np
import pytest

from mfd.headtrain.inference.outline import outlines


def fill(corners: list[list[tuple[int, int]]], size_hw: tuple[int, int]) -> np.ndarray:
    """The pixels whose centre has an odd number of vertical edges on its left."""
    filled = np.zeros(size_hw, bool)
    for line in corners:
        for (x0, y0), (x1, y1) in zip(line, line[1:] + line[:1], strict=True):
            if x0 == x1:
                filled[min(y0, y1) : max(y0, y1), x0:] ^= True
    return filled


def area(line: list[tuple[int, int]]) -> float:
    """Positive for a corner list that runs clockwise on the screen."""
    pairs = zip(line, line[1:] + line[:1], strict=True)
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs) / 2


@pytest.mark.parametrize("density", [0.1, 0.5, 0.8])
def test_outlines_filled_are_the_mask(density: float) -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        mask = random.random((random.integers(1, 14), random.integers(1, 19))) < density
        found = outlines(mask)
        assert (fill(found, mask.shape) == mask).all()
        assert sum(map(area, found)) == mask.sum()


def test_a_rectangle_has_its_four_corners_clockwise() -> None:
    mask = np.zeros((9, 11), bool)
    mask[2:7, 3:10] = True

    assert outlines(mask) == [[(3, 2), (10, 2), (10, 7), (3, 7)]]


def test_holes_run_anticlockwise() -> None:
    mask = np.ones((5, 7), bool)
    mask[2, 2:4] = False

    outer, hole = outlines(mask)

    assert area(outer) == 35
    assert area(hole) == -2


def test_pixels_that_touch_at_a_corner_have_outlines_of_their_own() -> None:
    for mask in (np.eye(3, dtype=bool), np.eye(3, dtype=bool)[::-1]):
        assert [area(line) for line in outlines(mask)] == [1, 1, 1]


def test_corners_are_no_points_of_a_straight_line() -> None:
    mask = np.random.default_rng(1).random((15, 12)) < 0.6
    for line in outlines(mask):
        for a, b, c in zip(line, line[1:] + line[:1], line[2:] + line[:2], strict=True):
            assert (a[0] == b[0]) != (b[0] == c[0])  # vertical, then horizontal


def test_an_empty_mask_has_no_outline() -> None:
    assert outlines(np.zeros((4, 5), bool)) == []
