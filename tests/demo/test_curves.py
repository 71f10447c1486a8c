"""The picture of loss curves."""

import numpy as np
import pytest

from mfd.demo.curves import draw_curves, smoothed


def test_a_higher_value_is_drawn_higher():
    blue = np.array([36, 98, 180])
    heights = []
    for value in (2.0, 9.0):
        lines = {"": [(0.0, value), (10.0, value)], " ": [(0.0, 10.0), (10.0, 10.0)]}
        picture = np.asarray(draw_curves(lines, "", ""), dtype=int)
        rows, _ = np.nonzero(np.abs(picture - blue).sum(-1) < 20)
        heights.append(rows.mean())
    assert heights[1] < heights[0] - 300


@pytest.mark.parametrize("largest", [1e-4, 0.7, 1.0, 3.0, 9999.0, 0.0])
def test_any_range_can_be_drawn(largest):
    picture = draw_curves({"a": [(0.0, 0.0), (largest, largest)], "b": [(0.0, 0.0)]}, "t", "x")
    assert len(np.unique(np.asarray(picture).reshape(-1, 3), axis=0)) > 3


def test_no_point_at_all_is_refused():
    with pytest.raises(ValueError, match="nothing to draw"):
        draw_curves({"a": []}, "t", "x")


def test_smoothing_is_the_mean_of_the_last_values():
    values = np.random.default_rng(0).uniform(size=13)
    found = smoothed(list(enumerate(values)), window=4)
    expected = [values[max(0, i - 3) : i + 1].mean() for i in range(13)]
    assert [x for x, _ in found] == list(range(13))
    np.testing.assert_allclose([y for _, y in found], expected)
