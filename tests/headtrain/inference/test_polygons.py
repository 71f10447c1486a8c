import numpy as np
import pytest
from pycocotools import mask as mask_utils
from scipy import ndimage

from mfd.coco import decode_segmentation
from mfd.headtrain.inference.outline import outlines
from mfd.headtrain.inference.polygons import Polygon, join, polygons, simplify


def filled(found: list[Polygon], size_hw: tuple[int, int]) -> np.ndarray:
    """pycocotools' own filling of polygons."""
    flat = [[value for point in polygon for value in point] for polygon in found]
    rle = mask_utils.merge(mask_utils.frPyObjects(flat, *size_hw))
    return decode_segmentation(rle, size_hw).astype(bool)


def blobs(seed: int, size_hw: tuple[int, int] = (71, 94)) -> np.ndarray:
    """Several parts with holes in them, some reaching the border."""
    noise = np.random.default_rng(seed).normal(size=size_hw)
    return ndimage.gaussian_filter(noise, 3.5) > 0.01


def distance(point: tuple[float, float], line: Polygon) -> float:
    """From a point to a closed line, by dense samples of the line."""
    ends = np.array(line + line[:1])
    steps = np.linspace(0, 1, 400)[:, None, None]
    samples = ends[:-1] + steps * (ends[1:] - ends[:-1])
    return float(np.linalg.norm(samples - point, axis=-1).min())


@pytest.mark.parametrize("seed", range(4))
def test_polygons_without_tolerance_are_the_mask(seed: int) -> None:
    mask = blobs(seed)
    found = polygons(mask)
    labels, parts = ndimage.label(mask)
    assert len(found) == parts > 3
    assert ndimage.label(~mask)[1] > 2  # there are holes
    assert (filled(found, mask.shape) == mask).all()
    sizes = [filled([polygon], mask.shape).sum() for polygon in found]
    assert sizes == sorted(np.bincount(labels.ravel())[1:], reverse=True)


@pytest.mark.parametrize("seed", range(3))
def test_parts_joined_by_slits_are_the_mask(seed: int) -> None:
    mask = blobs(seed)
    assert (filled([join(polygons(mask))], mask.shape) == mask).all()


@pytest.mark.parametrize("tolerance", [0.6, 1.0, 2.5])
def test_corners_that_are_left_out_lie_within_the_tolerance(tolerance: float) -> None:
    for line in outlines(blobs(1)):
        kept = simplify(np.array(line, float), tolerance)
        assert set(kept) <= set(line)
        if len(line) > 40:
            assert len(kept) < len(line)
        assert max(distance(point, kept) for point in line) <= tolerance + 1e-2  # of the samples


def test_simplified_polygons_are_nearly_the_mask() -> None:
    mask = blobs(2)
    exact, fewer = polygons(mask), polygons(mask, 1.0)
    again = filled(fewer, mask.shape)
    assert sum(map(len, fewer)) < sum(map(len, exact)) / 2
    assert (again & mask).sum() / (again | mask).sum() > 0.85


def test_thin_and_tiny_parts_keep_their_area() -> None:
    mask = np.zeros((9, 30), bool)
    mask[2, 3:25] = mask[6, 4] = True
    assert (filled(polygons(mask, 1.0), mask.shape) == mask).all()


def test_empty_mask_has_no_polygon() -> None:
    assert polygons(np.zeros((4, 5), bool)) == []
