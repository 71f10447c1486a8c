"""The charts of a report: curves of evaluations and trainings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mfd.report.chart import Series, line_chart
from mfd.report.counts import Bin
from mfd.report.subject import Subject

_THRESHOLDS = [0.5 + 0.05 * k for k in range(10)]


@dataclass(frozen=True)
class Chart:
    """A chart and what stands above it."""

    title: str
    svg: Markup


def charts(subjects: Sequence[Subject], bins: Sequence[Bin]) -> list[Chart]:
    """Curves of the evaluations and of the trainings."""
    several = len(subjects) > 1
    groups = ("main",) if several else ("main", "baseline")
    shown = {s.name: [row["name"] for row in s.rows if row["group"] in groups] for s in subjects}
    found = []
    recalls = [k / 100 for k in range(101)]
    for name, title, xs, x_label in (
        ("ap_by_iou", "AP over IoU thresholds", _THRESHOLDS, "IoU threshold"),
        ("precision_50", "Precision and recall at IoU 0.5", recalls, "recall"),
        ("precision_75", "Precision and recall at IoU 0.75", recalls, "recall"),
    ):
        lines = [
            Series(f"{subject.name}: {row}" if several else row, pairs, dashed=row != "masks")
            for subject in subjects
            for row in shown[subject.name]
            if (pairs := list(zip(xs, subject.curve(row, name), strict=False)))
        ]
        label = "AP" if name == "ap_by_iou" else "precision"
        x_range = (0.5, 0.95) if name == "ap_by_iou" else (0.0, 1.0)
        found.append(
            Chart(title, line_chart(lines, x_label, label, x_range=x_range, y_range=(0.0, 1.0)))
        )
    found += _losses(subjects)
    validation = [
        Series(subject.name, points, dots=True)
        for subject in subjects
        if (points := subject.validation())
    ]
    if validation:
        found.append(Chart("Validation", line_chart(validation, "epoch", "mask AP")))
    found.append(Chart("Can quality be trusted?", _calibration(bins)))
    return found


def _losses(subjects: Sequence[Subject]) -> Iterator[Chart]:
    """All losses of one run, or a chart for each loss of several."""
    lines = [(subject.name, line) for subject in subjects for line in subject.losses()]
    if len(subjects) == 1:
        yield Chart("Losses", line_chart([line for _, line in lines], "epoch", "loss"))
        return
    for kind in dict.fromkeys(line.name for _, line in lines):
        of_runs = [Series(run, line.points) for run, line in lines if line.name == kind]
        yield Chart(f"Loss: {kind}", line_chart(of_runs, "epoch", "loss"))


def _calibration(bins: Sequence[Bin]) -> Markup:
    """Measured IoU over the quality that the head expects."""
    measured = Series("mean of masks", [(b.expected, b.measured) for b in bins], dots=True)
    ideal = Series("ideal", [(0.0, 0.0), (1.0, 1.0)], dashed=True)
    return line_chart(
        [measured, ideal], "quality, the expected IoU", "measured IoU",
        x_range=(0.0, 1.0), y_range=(0.0, 1.0),
    )  # fmt: skip
