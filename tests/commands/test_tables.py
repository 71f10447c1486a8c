"""Sizes and times as a reader would say them."""

import pytest

from mfd.text import duration, size


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.3, "0 s"), (119.4, "119 s"), (120, "2 min"), (7199, "120 min"), (19_000, "5.3 h")],
)
def test_a_time_has_the_unit_a_reader_would_choose(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("num_bytes", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (9_614_000, "9.61 MB"),
        (1.15e12, "1.15 TB"),
        (4.5e15, "4.5e+03 TB"),
    ],
)
def test_a_size_has_three_digits_and_a_unit(num_bytes: float, said: str) -> None:
    assert size(num_bytes) == said
