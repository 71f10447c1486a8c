"""Sizes, times and tables of them as a reader would say them."""

import pytest
from rich.console import Console

from mfd.cache import DiskSpeed
from mfd.commands.estimate import disk_table
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


def test_each_kind_of_store_is_listed_with_what_the_disk_takes_for_it() -> None:
    disk = DiskSpeed(write=100e6, read=400e6, free=1_000_000_000_000)
    kinds = {("full", "float16"): 2_400_000_000_000, ("lite", "int8"): 360_000_000_000}
    console = Console(width=200)
    with console.capture() as shown:
        console.print(disk_table(kinds, disk))  # type: ignore[arg-type]
    rows = [line.replace("│", " ").split() for line in shown.get().splitlines() if "│" in line]
    assert rows[-2:] == [
        ["full", "float16", "2.4", "TB", "no", "6.7", "h", "100", "min"],
        ["lite", "int8", "360", "GB", "yes", "60", "min", "15", "min"],
    ]
    assert "writes 100 MB and reads 400 MB a second and has 1 TB free" in shown.get()
