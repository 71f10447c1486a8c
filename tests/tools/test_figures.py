"""The documentation's plots show what its tables and the paper's say."""

import json
from pathlib import Path

import pytest

from tools import figures
from tools.plot import HEIGHT, WIDTH, Axis, Plot, Point


@pytest.mark.parametrize(
    ("name", "draw"), [("cost", figures.cost), ("bytes", figures.smaller_stores)]
)
def test_plot_is_the_one_of_the_tables_as_they_are(name: str, draw: object) -> None:
    """`python tools/figures.py` draws them again."""
    assert (figures.DOCS / f"{name}.svg").read_text(encoding="utf-8") == draw()  # type: ignore[operator]


def test_figures_of_the_paper_are_those_of_its_table(shared: Path) -> None:
    printed = json.loads((shared / "paper" / "tables.json").read_text())
    expected = {
        (row.get("method", "Mask Frozen-DETR"), row["gpu_hours"], row["AP"])
        for table in ("table7_coco_val", "table7_peers")
        for row in printed[table]
        if row["gpu_hours"] is not None
    }
    shown = {(name, x, y) for name, each in figures.PAPER.items() for _, x, y in each}
    assert shown == expected


def test_measured_points_are_the_rows_of_their_table() -> None:
    table = list(figures.rows("What pays in training"))
    assert table[0].cells[1].startswith("0.234")
    assert (table[0].number(1), table[0].number(3)) == (0.234, 628)
    assert table[2].number(3) == 1023  # thousands have a comma
    assert figures.filled_boxes() == 0.115
    with pytest.raises(ValueError, match="no table under '## Nothing'"):
        list(figures.rows("Nothing"))


def test_points_lie_where_the_axes_say() -> None:
    x, y = Axis("hours", (10, 1000), (10, 100, 1000), log=True), Axis("AP", (40, 60), (40, 60))
    plot = Plot("", x, y, {})
    (left, bottom), (right, top) = plot.place(Point(10, 40)), plot.place(Point(1000, 60))
    assert plot.place(Point(100, 55)) == pytest.approx(
        ((left + right) / 2, bottom + (top - bottom) * 0.75)
    )
    assert 0 < left < right < WIDTH
    assert 0 < top < bottom < HEIGHT
    with pytest.raises(ValueError, match="AP: 61 is outside of 40 to 60"):
        plot.place(Point(10, 61))
