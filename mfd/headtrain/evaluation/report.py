"""What an evaluation found: named rows of figures, as tables, as JSON and as files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

from mfd.files import write_together
from mfd.headtrain.evaluation.metrics.figures import Figures
from mfd.headtrain.evaluation.results import Entry, results_json
from mfd.text import printable

Group = Literal["main", "baseline", "oracle", "compared"]

# JSON names of the rows; a row that was not asked for is null
_PREFIXES = {"boxes": "box", "masks": "mask"}
_BASELINES = {"filled boxes": "mask_ap_filled_boxes", "untrained head": "mask_ap_untrained"}
_COCO = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")


@dataclass(frozen=True)
class Row:
    """The figures of one set of detections.

    Attributes:
        name: what the table calls it: "boxes", "masks", "filled boxes".
        figures: what its metric found.
        results: the detections, if they are worth a file.
        kind: "bbox", "segm" or "boundary", what was compared with the annotations.
        group: what the row is for: a result, or one to compare it with.
        seconds: that it took to make the masks, from what the detector gave; None for boxes.
    """

    name: str
    kind: str
    figures: Figures
    results: Sequence[Entry] | None = field(default=None, repr=False)
    group: Group = "main"
    seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Name, kind, group, seconds, and the overall figures with their intervals."""
        return {
            "name": self.name,
            "kind": self.kind,
            "group": self.group,
            "seconds": None if self.seconds is None else round(self.seconds, 2),
            "figures": self.figures.overall,
            "intervals": {name: list(ends) for name, ends in self.figures.intervals.items()},
        }


@dataclass(frozen=True)
class Evaluation:
    """How well a head, or a detector alone, does on one data set.

    Attributes:
        rows: boxes first, then masks, baselines, oracles and other models.
        categories: name of each category id.
        notes: what a reader of the figures must know, one line each.
        images: how many.
        detections: how many on all images.
        seconds: wall time.
        split: which split of the data it was, if that is known.
        store: name of the store that was read.
        class_agnostic: whether categories were ignored.
    """

    rows: tuple[Row, ...]
    categories: Mapping[int, str]
    notes: tuple[str, ...]
    images: int
    detections: int
    seconds: float
    split: str | None
    store: str
    class_agnostic: bool = False

    def __getitem__(self, name: str) -> Figures:
        """The figures of the row of this name.

        Raises:
            KeyError: there is no such row.
        """
        return {row.name: row.figures for row in self.rows}[name]

    def without_results(self) -> "Evaluation":
        """The same figures without the detections behind them."""
        return replace(self, rows=tuple(replace(row, results=None) for row in self.rows))

    def to_json(self) -> dict[str, Any]:
        """One object: box_ap, box_ap50 ... box_ap_large, mask_ap ..., baselines, categories, rows.

        What is undefined, or was not asked for, is null. `rows` has what the table shows, see
        `Row.to_json`.
        """
        found = {row.name: row.figures for row in self.rows if row.group in ("main", "baseline")}
        fields: dict[str, Any] = {
            f"{prefix}_{name}": None for prefix in _PREFIXES.values() for name in _COCO
        }
        fields |= dict.fromkeys(_BASELINES.values())
        for name, figures in found.items():
            if name in _BASELINES:
                fields[_BASELINES[name]] = figures.ap
            else:
                prefix = _prefix(name)
                fields |= {f"{prefix}_{key}": value for key, value in figures.overall.items()}
        compared = {prefix: found.get(name) for name, prefix in _PREFIXES.items()}
        compared |= {_prefix(row.name): row.figures for row in self._main_rows()}
        return {
            **fields,
            "class_agnostic": self.class_agnostic,
            "images": self.images,
            "detections": self.detections,
            "seconds": round(self.seconds, 2),
            "notes": list(self.notes),
            "per_category": [
                {
                    "category_id": category_id,
                    "name": name,
                    **{
                        f"{prefix}_ap": figures and figures.per_category[category_id]
                        for prefix, figures in compared.items()
                    },
                }
                for category_id, name in sorted(self.categories.items())
            ],
            "rows": [row.to_json() for row in self.rows],
        }

    def table(self) -> Table:
        """The figures as a table for the terminal, one row for each set of detections."""
        summary = f"{self.images} images, {self.detections} detections, {self.seconds:.0f} s"
        caption = "\n".join((summary, *map(printable, self.notes)))
        table = Table(caption=Text(caption), caption_justify="left")
        table.add_column("class-agnostic" if self.class_agnostic else "")
        names = list(dict.fromkeys(name for row in self.rows for name in row.figures.overall))
        with_intervals = any(row.figures.intervals for row in self.rows)
        for name in names:
            table.add_column(name.replace("ap", "AP", 1).replace("_", " "), justify="right")
            if with_intervals and name == names[0]:
                table.add_column("95 %", justify="center")
        with_seconds = any(row.seconds is not None for row in self.rows)
        if with_seconds:
            table.add_column("s", justify="right")
        for row, following in zip(self.rows, (*self.rows[1:], None), strict=True):
            cells = [_digits(row.figures.overall.get(name)) for name in names]
            if with_intervals:
                cells.insert(1, _ends(row.figures.intervals.get(names[0])))
            if with_seconds:
                cells.append("-" if row.seconds is None else f"{row.seconds:.1f}")
            ends = following is not None and following.group != row.group
            table.add_row(Text(printable(row.name)), *cells, end_section=ends)
        return table

    def category_table(self) -> Table:
        """AP of every category, the best by the last row that is not a baseline first."""
        rows = self._main_rows()
        table = Table("category", title="AP by category")
        for row in rows:
            table.add_column(row.name, justify="right")
        ap = {key: -1.0 if v is None else v for key, v in rows[-1].figures.per_category.items()}
        for key in sorted(self.categories, key=lambda key: -ap[key]):
            cells = (_digits(row.figures.per_category[key]) for row in rows)
            table.add_row(Text(printable(self.categories[key])), *cells)
        return table

    def write(self, folder: Path) -> None:
        """Write evaluation.json and, for COCO's server, results_bbox.json and results_segm.json.

        All of them are replaced or none is. `evaluation.json` has `split`, `store` and the `curves`
        of every row besides the fields of `to_json`; its figures are those of the results.

        Raises:
            OSError: as the file system does; the folder then has what it had before.
        """
        curves = {row.name: dict(row.figures.curves) for row in self.rows}
        content = {**self.to_json(), "split": self.split, "store": self.store, "curves": curves}
        files = {
            f"results_{row.kind}.json": results_json(row.results)
            for row in self.rows
            if row.results is not None
        }
        files["evaluation.json"] = (json.dumps(content, indent=1) + "\n").encode()
        folder.mkdir(parents=True, exist_ok=True)
        write_together(folder, files)

    def _main_rows(self) -> list[Row]:
        return [row for row in self.rows if row.group == "main"]


def _prefix(name: str) -> str:
    """What the JSON fields of a row begin with."""
    return _PREFIXES.get(name, name.replace(" ", "_"))


def _digits(value: float | None) -> str:
    """Three decimals, as pycocotools prints; a dash where there was nothing to find."""
    return "-" if value is None else f"{value:.3f}"


def _ends(interval: tuple[float, float] | None) -> str:
    """An interval's ends; a dash for none."""
    return "-" if interval is None else f"{interval[0]:.3f} - {interval[1]:.3f}"
