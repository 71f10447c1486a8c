import re

import pytest

from mfd.report.chart import Series, line_chart, ticks


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.5, 0.95, [0.5, 0.6, 0.7, 0.8, 0.9]),
        (0.0, 7.0, [0, 2, 4, 6]),
        (0.0, 0.031, [0, 0.01, 0.02, 0.03]),
    ],
)
def test_ticks_are_round_numbers_in_the_range(
    low: float, high: float, expected: list[float]
) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_higher_value_is_drawn_higher_and_gaps_are_left_out() -> None:
    svg = line_chart([Series("a", [(0, 1.0), (1, None), (2, 3.0)])], "x", "y")
    ((x0, y0), (x1, y1)) = [
        tuple(map(float, pair.split(",")))
        for pair in re.search(r'points="([^"]*)"', svg)[1].split()  # type: ignore[index]
    ]
    assert x0 < x1
    assert y1 < y0


def test_names_are_escaped() -> None:
    svg = line_chart([Series("<b>&", [(0, 1.0), (1, 2.0)])], "<x>", "y")
    assert "<b>" not in svg
    assert "&lt;b&gt;&amp;" in svg


def test_chart_of_nothing_says_so() -> None:
    assert "Nothing to draw" in line_chart([Series("a", [(0, None)])], "x", "y")
