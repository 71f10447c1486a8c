"""The sections of a report: tables and bars from runs and judged images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mfd.headtrain import Comparison
from mfd.report.cells import Cell, Table, average_precision, difference, number, text
from mfd.report.counts import ClassRow
from mfd.report.judge import Verdict
from mfd.report.subject import FIGURES, Subject
from mfd.text import duration, size

_HEADER = ("", "AP", "AP50", "AP75", "small", "medium", "large")
_MEANINGS: Mapping[str, str] = {
    Verdict.CORRECT: "mask IoU of 0.5 and more with a free object of the category",
    Verdict.POOR_MASK: "the box fits, the mask does not: the head's fault",
    Verdict.POOR_BOX: "near an object, but the box does not fit: the detector's fault",
    Verdict.WRONG_CLASS: "fits an object of another category",
    Verdict.DUPLICATE: "fits an object that a better detection has",
    Verdict.BACKGROUND: "near no object that is annotated",
    Verdict.IGNORED: "inside a crowd region; does not count",
    "missed": "objects that no detection came near",
}


@dataclass(frozen=True)
class Bar:
    """A count as a bar: its name, style, share of the largest in percent, and what it means."""

    name: str
    style: str
    count: int
    percent: float
    text: str


def figures_table(subjects: Sequence[Subject]) -> Table:
    """COCO's figures of every row of every run, with differences to the first run's.

    Intervals and seconds have columns where a run has them.
    """
    rows_of = [(subject, subject.rows) for subject in subjects]
    reference = {row["name"]: row["figures"] for row in subjects[0].rows}
    everything = [row for _, rows in rows_of for row in rows]
    with_intervals = any(row.get("intervals") for row in everything)
    with_seconds = any(row.get("seconds") is not None for row in everything)
    known = (name for row in everything for name in row["figures"])
    names = list(dict.fromkeys([*FIGURES, *known]))  # LVIS's at the end
    table = []
    for subject, rows in rows_of:
        lead = f"{subject.name}: " if len(subjects) > 1 else ""
        for row in rows:
            against = {} if subject is subjects[0] else reference.get(row["name"], {})
            ap, *others = (
                average_precision(row["figures"].get(name), against.get(name)) for name in names
            )
            interval = [_interval(row)] if with_intervals else []
            seconds = [number(row.get("seconds"), 1)] if with_seconds else []
            table.append([text(lead + row["name"]), ap, *interval, *others, *seconds])
    header = [*_HEADER, *(name.removeprefix("ap_") for name in names[len(FIGURES) :])]
    if with_intervals:
        header.insert(2, "95 %")
    return Table([*header, "seconds"] if with_seconds else header, table)


def _interval(row: Mapping[str, Any]) -> Cell:
    """The confidence interval of a row's AP."""
    ends = row.get("intervals", {}).get("ap")
    return Cell("-" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}")


def difference_table(comparisons: Sequence[Comparison]) -> Table:
    """Masks of every run less those of the first, with intervals; boxes where they differ."""
    rows = []
    for each in comparisons:
        found = {change.name: change for change in each.differences}
        for kind, row in (("mask", "masks"), ("box", "boxes")):
            changes = [found[f"{kind} {name}"] for name in FIGURES]
            if kind == "mask" or any(change.value for change in changes):
                cells = (difference(change.value, change.interval) for change in changes)
                rows.append([text(f"{each.names[1]}: {row}"), *cells])
    return Table(_HEADER, rows)


def cost_table(subjects: Sequence[Subject]) -> Table:
    """Time, data and device of every stage of every run."""
    rows = []
    for subject in subjects:
        lead = f"{subject.name}: " if len(subjects) > 1 else ""
        total = 0.0
        for stage, entry in subject.cost.items():
            if not isinstance(entry, Mapping) or "seconds" not in entry:
                continue
            seconds, device = entry["seconds"] or 0.0, str(entry.get("device", ""))
            total += seconds
            rows.append([text(lead + stage), *_cost_cells(entry, seconds, device)])
            if (waiting := entry.get("waiting_seconds")) is not None:
                rows.append([text(f"{lead}of it waiting for data"), *_cost_cells({}, waiting, "")])
        rows.append([text(lead + "in all"), *_cost_cells({}, total, "")])
    return Table(("stage", "images", "data", "time", "GPU hours", "device"), rows)


def _cost_cells(entry: Mapping[str, Any], seconds: float, device: str) -> list[Cell]:
    num_bytes = entry.get("bytes")
    on_gpu = bool(device) and not device.lower().startswith("cpu")
    return [
        number(entry.get("images")),
        Cell("-" if num_bytes is None else size(num_bytes), str(num_bytes or -1)),
        Cell(duration(seconds), str(seconds)),
        number(seconds / 3600 if on_gpu else None, 3),
        text(device),
    ]


def class_table(
    rows: Sequence[ClassRow], figures: Sequence[Mapping[str, Any]], names: Mapping[int, str]
) -> Table:
    """Objects, matches, confusions and AP of every category that has objects."""
    ap = {names.get(each["category_id"], each["name"]): each for each in figures}
    return Table(
        ("category", "mask AP", "box AP", "objects", "found", "missed", "taken for"),
        [
            [
                text(row.name),
                average_precision(ap.get(row.name, {}).get("mask_ap")),
                average_precision(ap.get(row.name, {}).get("box_ap")),
                number(row.objects),
                number(row.found),
                number(row.missed),
                text(", ".join(f"{name} {count}" for name, count in row.confused)),
            ]
            for row in rows
        ],
        sortable=True,
    )


def error_bars(counts: Mapping[str, int]) -> list[Bar]:
    """A bar for each kind of detection, and for the objects missed."""
    largest = max(1, *counts.values())
    return [
        Bar(name, name.replace(" ", "-"), count, 100 * count / largest, _MEANINGS[name])
        for name, count in counts.items()
        if count or name != Verdict.IGNORED
    ]
