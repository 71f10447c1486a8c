"""Outlines of demo objects."""

import numpy as np
import pytest

from mfd.demo.shapes import CATEGORIES


def _signed_area(ring):
    x, y = ring.T
    return 0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))


@pytest.mark.parametrize("category_id", CATEGORIES)
def test_outline_lies_in_the_unit_disc_and_its_holes_in_the_outline(category_id):
    _, outline_of = CATEGORIES[category_id]
    for seed in range(50):
        outline = outline_of(np.random.default_rng(seed))
        assert np.hypot(*outline.outer.T).max() <= 1 + 1e-9
        inner = np.hypot(*outline.outer.T).min()
        assert all(np.hypot(*hole.T).max() < inner for hole in outline.holes)


@pytest.mark.parametrize("category_id", CATEGORIES)
def test_a_filled_box_is_a_poor_mask_of_every_kind(category_id):
    _, outline_of = CATEGORIES[category_id]
    for seed in range(50):
        outline = outline_of(np.random.default_rng(seed))
        box = np.prod(np.ptp(outline.outer, axis=0))
        area = abs(_signed_area(outline.outer)) - sum(abs(_signed_area(h)) for h in outline.holes)
        assert 0.15 * box < area < 0.8 * box


def test_category_ids_have_gaps():
    ids = sorted(CATEGORIES)
    assert len(ids) >= 5
    assert ids != list(range(ids[0], ids[0] + len(ids)))
