"""The plots of the documentation, as SVG that follows light and dark.

    python tools/figures.py      # writes docs/cost.svg and docs/bytes.svg

What was measured is read from the tables of docs/measured.md, so that a plot shows what its table
says.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.plot import Axis, Plot, Point, Side, drawing

DOCS = Path(__file__).parents[1] / "docs"

PAPER: Mapping[str, tuple[tuple[str, float, float], ...]] = {
    "Mask Frozen-DETR": (
        ("R50", 49, 44.1),
        ("R50, O365", 49, 45.7),
        ("Swin-L", 179, 51.9),
        ("Swin-L, O365", 172, 54.0),
        ("FocalNet-L, O365", 136, 54.9),
    ),
    "Mask2Former": (("R50", 502, 43.7), ("Swin-L", 1700, 50.1)),
    "Mask DINO": (("R50", 1404, 46.0), ("Swin-L", 2400, 52.1), ("Swin-L, O365", 1600, 54.5)),
    "ViT-Adapter-L": (("O365", 1068, 53.0),),
}
"""Table 7 of the paper, rows with a cost: backbone, whether Objects365 was used too, V100 hours,
mask AP on COCO val."""


@dataclass(frozen=True)
class Row:
    """A row of a table of docs/measured.md: its cells without Markdown's marks."""

    cells: tuple[str, ...]

    def number(self, column: int) -> float | None:
        """The number that a cell begins with."""
        found = re.match(r"[0-9][0-9,.]*", self.cells[column])
        return None if found is None else float(found[0].replace(",", ""))


def rows(heading: str) -> Iterator[Row]:
    """The rows of the first table after a heading.

    Raises:
        ValueError: there is none.
    """
    text = (DOCS / "measured.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## {heading}\n")[2].split("\n## ")[0]
    table = re.search(r"^\|.*\n\|[-|]+\n((?:\|.*\n)+)", section, re.MULTILINE)
    if table is None:
        raise ValueError(
            f"docs/measured.md has no table under '## {heading}'; name one that it has"
        )
    for line in table[1].splitlines():
        yield Row(tuple(cell.strip(" *`") for cell in line.strip("|").split("|")))


def cost() -> str:
    """Mask AP against the cost of training: the paper's, and below it what was measured here."""
    paper = Plot(
        "The paper, COCO val: mask AP over V100 hours",
        Axis("V100 hours of training", (40, 3000), (50, 100, 200, 500, 1000, 2000), log=True),
        Axis("mask AP", (42, 56), (42, 46, 50, 54)),
        {
            name: [Point(x, y, label, "left" if x > 500 else "right") for label, x, y in each]
            for name, each in PAPER.items()
        },
    )
    recipes = list(rows("What pays in training"))
    ours = Plot(
        "Measured here, 343 images: mask AP over CPU minutes",
        Axis("minutes of training on one CPU core", (0, 20), (0, 5, 10, 15, 20)),
        Axis("mask AP", (10, 26), (10, 14, 18, 22, 26)),
        {
            "filled boxes, no training": [Point(0, filled_boxes() * 100)],
            "heads with other recipes": list(_trained(recipes, best=False)),
            "preset mfd": list(_trained(recipes, best=True)),
        },
    )
    return drawing([paper, ours])


def _trained(recipes: Iterable[Row], best: bool) -> Iterator[Point]:
    for row in recipes:
        seconds, ap = row.number(3), row.number(1)
        if (
            seconds
            and ap
            and ("(`mfd" in row.cells[0] or "same with another" in row.cells[0]) == best
        ):
            yield Point(seconds / 60, ap * 100)


def filled_boxes() -> float:
    """Mask AP of the detector's boxes, filled."""
    (row,) = (row for row in rows("What was measured") if row.cells[0].startswith("filled boxes"))
    return row.number(1) or math.nan


_SIDES: Mapping[str, Side] = {"float16": "left", "coarse": "left"}


def smaller_stores() -> str:
    """Mask AP against the bytes of an image's features."""
    points = [
        Point(row.number(3) or math.nan, ap * 100, name, _SIDES.get(name, "right"))
        for row in rows("Smaller stores")
        if (ap := row.number(5)) is not None
        for name in [row.cells[0].removeprefix("--dtype ").removesuffix(" --codec zstd")]
    ]
    return drawing(
        [
            Plot(
                "Mask AP over the size of a store, 206 images",
                Axis("MB an image of 800 x 1333, profile lite", (0, 13), (0, 2, 4, 6, 8, 10, 12)),
                Axis("mask AP", (23.4, 24.8), (23.4, 23.8, 24.2, 24.6)),
                {"one head, one seed, its noise as a bar; int3 and coarse by zstd": points},
                spread=0.3,
            )
        ]
    )


def main() -> None:
    """Write all of them."""
    for name, content in (("cost", cost()), ("bytes", smaller_stores())):
        (DOCS / f"{name}.svg").write_text(content, encoding="utf-8")
        print(DOCS / f"{name}.svg")


if __name__ == "__main__":
    main()
