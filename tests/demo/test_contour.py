"""Polygons around masks, judged by pycocotools' own rasteriser."""

import numpy as np
import pytest
from pycocotools import mask as rle
from scipy import ndimage

from mfd.demo.contour import has_hole, polygons

# pycocotools 2.0.11's decode with numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def _filled(found, size_hw):
    return rle.decode(rle.merge(rle.frPyObjects(found, *size_hw))).astype(bool)


def _smooth_mask(seed, size_hw):
    noise = np.random.default_rng(seed).standard_normal(size_hw)
    return ndimage.gaussian_filter(noise, 4) > 0.05


def test_filling_the_polygons_gives_the_mask_back_with_its_holes_filled():
    for seed in range(10):
        parts, count = ndimage.label(_smooth_mask(seed, (61, 83)))
        sizes = np.bincount(parts.ravel())
        kept = np.isin(parts, [p for p in range(1, count + 1) if sizes[p] >= 30])
        found = _filled(polygons(kept), kept.shape)
        whole = np.zeros_like(kept)
        for part in range(1, count + 1):
            if sizes[part] >= 30:
                whole |= ndimage.binary_fill_holes(parts == part)
        assert (found & whole).sum() / (found | whole).sum() > 0.98


def test_every_connected_part_is_one_polygon_and_specks_are_left_out():
    mask = np.zeros((17, 23), dtype=bool)
    mask[0:5, 0:6] = True  # touches the edge of the picture
    mask[5:9, 6:11] = True  # touches the first part at a corner only
    mask[12, 20] = True
    found = polygons(mask)
    assert len(found) == 2
    assert all(len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in found)


def test_an_enclosed_pixel_is_a_hole_and_a_notch_is_not():
    mask = np.ones((7, 9), dtype=bool)
    mask[0, 4] = False
    assert not has_hole(mask)
    mask[3, 4] = False
    assert has_hole(mask)
