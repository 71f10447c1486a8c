import numpy as np
import pytest

from mfd.headtrain.targets.crop import box_crop


def oracle(mask: np.ndarray, box: tuple[float, float, float, float], size: int) -> np.ndarray:
    """Every cell as the sum of its overlaps with every pixel."""
    left, top, right, bottom = box
    crop = np.zeros((size, size))
    for row in range(size):
        for column in range(size):
            x0, x1 = (left + (right - left) * (column + k) / size for k in (0, 1))
            y0, y1 = (top + (bottom - top) * (row + k) / size for k in (0, 1))
            for i, j in zip(*np.nonzero(mask), strict=True):
                wide = max(0.0, min(x1, j + 1) - max(x0, j))
                high = max(0.0, min(y1, i + 1) - max(y0, i))
                crop[row, column] += wide * high / ((x1 - x0) * (y1 - y0))
    return crop


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    "box",
    [
        (2.3, 1.7, 11.9, 7.2),  # cells smaller than pixels one way
        (4.0, 3.0, 11.0, 8.0),  # on pixel edges
        (5.25, 4.5, 5.75, 4.6),  # within one pixel
        (-3.6, -2.2, 16.1, 12.3),  # beyond all sides of the image
        (10.2, 6.4, 19.0, 9.9),  # beyond one side
        (20.0, 3.0, 25.0, 8.0),  # outside
        (-9.0, -8.0, -2.0, -1.0),
    ],
)
def test_cells_are_exact_integrals_of_the_mask(
    box: tuple[float, float, float, float], order: str
) -> None:
    mask = (np.random.default_rng(4).random((9, 13)) < 0.6).astype(np.uint8)
    crop = box_crop(np.asarray(mask, order=order), box, 5)
    assert np.abs(crop - oracle(mask, box, 5)).max() < 1e-12


def test_the_mean_over_the_box_is_its_covered_share() -> None:
    mask = np.zeros((31, 47), np.uint8)
    mask[5:20, 8:40] = 1
    crop = box_crop(mask, (0.0, 0.0, 47.0, 31.0), 16)
    assert abs(crop.mean() - mask.mean()) < 1e-12
