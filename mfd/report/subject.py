"""A run as a report sees it: what it was, what it cost, how it learned, what it reached."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mfd.headtrain import Run, latest_evaluation, read_metrics
from mfd.report.chart import Series

FIGURES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
_BASELINES = {"filled boxes": "mask_ap_filled_boxes", "untrained head": "mask_ap_untrained"}
_LOSSES = {"loss_bce": "cross-entropy", "loss_dice": "dice", "loss_iou": "IoU estimate"}


@dataclass(frozen=True)
class Subject:
    """A run and one of its evaluations.

    Attributes:
        run: the run.
        folder: of the evaluation.
        evaluation: its figures.
        cost: the ledger of all stages.
        records: of the training, oldest first.
    """

    run: Run
    folder: Path
    evaluation: Mapping[str, Any]
    cost: Mapping[str, Any]
    records: Sequence[Mapping[str, float]]

    @classmethod
    def of(cls, run: Run, split: str) -> "Subject":
        """The run with its latest evaluation on a split.

        Raises:
            ConfigError: the run was not evaluated on it.
        """
        folder, evaluation = latest_evaluation(run, split)
        return cls(run, folder, evaluation, run.cost(), read_metrics(run.metrics_file))

    @property
    def name(self) -> str:
        """The run's name."""
        return self.run.name

    @property
    def rows(self) -> list[Mapping[str, Any]]:
        """What was measured, masks first: name, group, seconds, figures and their intervals.

        Evaluations of earlier versions of mfd have figures alone.
        """
        rows = self.evaluation.get("rows") or list(_earlier_rows(self.evaluation))
        return sorted(rows, key=lambda row: row["name"] != "masks")

    @property
    def categories(self) -> Sequence[Mapping[str, Any]]:
        """The figures of every category."""
        return self.evaluation.get("per_category", [])

    def losses(self) -> list[Series]:
        """Each loss over the epochs, smoothed over a fiftieth of the training."""
        window = max(1, len(self.records) // 50)
        found = []
        for key, label in _LOSSES.items():
            points = [(r["epoch"], r[key]) for r in self.records if key in r and "epoch" in r]
            if points:
                found.append(Series(label, _smoothed(points, window)))
        return found

    def validation(self) -> list[tuple[float, float | None]]:
        """Mask AP on the way, by epoch; empty where none was measured."""
        return [
            (r["epoch"], r["val_mask_ap"])
            for r in self.records
            if "val_mask_ap" in r and "epoch" in r
        ]

    def curve(self, row: str, name: str) -> list[float | None]:
        """A curve of a row of the evaluation; empty where it has none."""
        return self.evaluation.get("curves", {}).get(row, {}).get(name, [])


def _earlier_rows(evaluation: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Rows from the figures by name that every evaluation has."""
    for name, prefix in (("masks", "mask"), ("boxes", "box")):
        figures = {figure: evaluation.get(f"{prefix}_{figure}") for figure in FIGURES}
        if figures["ap"] is not None:
            yield {"name": name, "group": "main", "figures": figures}
    for name, key in _BASELINES.items():
        if evaluation.get(key) is not None:
            yield {"name": name, "group": "baseline", "figures": {"ap": evaluation[key]}}


def _smoothed(
    points: Sequence[tuple[float, float]], window: int
) -> list[tuple[float, float | None]]:
    """Every y replaced by the mean of up to `window` values that end with it."""
    smooth: list[tuple[float, float | None]] = []
    for end in range(1, len(points) + 1):
        values = [y for _, y in points[max(0, end - window) : end]]
        smooth.append((points[end - 1][0], sum(values) / len(values)))
    return smooth
