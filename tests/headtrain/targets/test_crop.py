import warnings

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mfd.coco import mask_runs
from mfd.headtrain.targets.crop import box_crop
from tests.builders.masks import Box, cell_means, crop_of, runs_of

BOXES: list[Box] = [
    (2.3, 1.7, 11.9, 7.2),  # cells smaller than pixels one way
    (4.0, 3.0, 11.0, 8.0),  # on pixel edges
    (5.25, 4.5, 5.75, 4.6),  # within one pixel
    (-3.6, -2.2, 16.1, 12.3),  # beyond all sides of the image
    (10.2, 6.4, 19.0, 9.9),  # beyond one side
    (20.0, 3.0, 25.0, 8.0),  # outside
    (-9.0, -8.0, -2.0, -1.0),
]
MASKS = {
    "noise": np.random.default_rng(4).random((9, 13)) < 0.6,
    "full": np.ones((9, 13), bool),
    "empty": np.zeros((9, 13), bool),
    "last pixel": np.arange(117).reshape(9, 13) == 116,
    "last column": np.arange(117).reshape(9, 13) % 13 == 12,
    "first pixel": np.arange(117).reshape(9, 13) == 0,
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("box", BOXES)
def test_cells_are_exact_integrals_of_the_mask(box: Box, mask: np.ndarray) -> None:
    assert np.abs(crop_of(mask, box, 5) - cell_means(mask, box, 5)).max() < 1e-12


def test_cells_are_those_of_the_mask_that_pycocotools_decodes() -> None:
    polygons = [[3.2, 4.1, 30.7, 2.5, 41.0, 28.3, 7.9, 25.0], [33.0, 20.0, 44.0, 20.0, 40.0, 30.0]]
    rle = coco_mask.merge(coco_mask.frPyObjects(polygons, 31, 47))
    box = (1.5, 3.25, 45.75, 30.5)
    with warnings.catch_warnings(action="ignore"):  # numpy's, about pycocotools
        mask = coco_mask.decode(rle)
    expected = cell_means(mask, box, 16)
    found = box_crop(mask_runs(polygons, (31, 47)), (31, 47), box, 16)
    assert np.abs(found - expected).max() < 1e-12
    assert 0.4 < found.mean() < 0.9


def test_runs_of_no_pixels_change_nothing() -> None:
    mask = MASKS["noise"]
    runs = runs_of(mask)
    split = np.concatenate((runs[:5], [0, 0], [3, 0, runs[5] - 3], runs[6:]))
    assert split.sum() == runs.sum()
    for box in BOXES:
        assert np.array_equal(box_crop(split, mask.shape, box, 5), crop_of(mask, box, 5))


@pytest.mark.parametrize("box", BOXES)
def test_nothing_is_covered_outside_the_window(box: Box) -> None:
    """Against pixels of a quarter's side, on whose edges the window lies."""
    mask, window = MASKS["noise"], (2.25, 1.5, 10.75, 7.25)
    fine = mask.repeat(4, 0).repeat(4, 1)
    left, top, right, bottom = (int(4 * edge) for edge in window)
    shown = np.zeros_like(fine)
    shown[top:bottom, left:right] = fine[top:bottom, left:right]
    expected = cell_means(shown, tuple(4 * edge for edge in box), 5)  # type: ignore[arg-type]
    assert np.abs(crop_of(mask, box, 5, window) - expected).max() < 1e-12


def test_the_mean_over_the_box_is_its_covered_share() -> None:
    mask = np.zeros((31, 47), np.uint8)
    mask[5:20, 8:40] = 1
    crop = crop_of(mask, (0.0, 0.0, 47.0, 31.0), 16)
    assert abs(crop.mean() - mask.mean()) < 1e-12
