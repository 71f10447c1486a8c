"""Two evaluations on the same images: the differences of their figures, and how sure they are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from rich.table import Table
from rich.text import Text

from mfd.coco import CocoDataset
from mfd.config import Evaluator
from mfd.errors import DataError
from mfd.headtrain.evaluation.metrics.bootstrap import (
    Interval,
    Overall,
    difference,
    draw_images,
    intervals,
)
from mfd.headtrain.evaluation.metrics.coco import figures_of, ground_truth, scored
from mfd.headtrain.evaluation.metrics.evaluators import Kind
from mfd.headtrain.evaluation.metrics.matches import Matches
from mfd.headtrain.evaluation.results import Entry, read_results
from mfd.headtrain.evaluation.score import SEED
from mfd.text import printable

_KINDS: dict[str, Kind] = {"box": "bbox", "mask": "segm"}


@dataclass(frozen=True)
class Side:
    """One of two evaluations.

    Attributes:
        name: what it is called.
        folder: with its results files.
        dataset: that it was made on, in the categories of its detector.
    """

    name: str
    folder: Path
    dataset: CocoDataset


@dataclass(frozen=True)
class Difference:
    """One figure of both.

    Attributes:
        name: such as "box ap" and "mask ap_small".
        first: None where it is undefined, as the other values.
        value: the second less the first.
        interval: 95 % confidence interval of it.
    """

    name: str
    first: float | None
    second: float | None
    value: float | None
    interval: Interval | None


@dataclass(frozen=True)
class Comparison:
    """All figures of both.

    Attributes:
        names: of the two.
        images: that both were measured on.
        bootstrap: resamples of them.
        differences: of boxes, then of masks.
    """

    names: tuple[str, str]
    images: int
    bootstrap: int
    differences: tuple[Difference, ...]

    def table(self) -> Table:
        """A row for each figure."""
        caption = (
            f"{self.images} images, {self.bootstrap} resamples; a difference whose interval "
            "holds 0 may be chance"
        )
        table = Table(caption=Text(caption), caption_justify="left")
        for name in ("", *map(printable, self.names), "difference", "95 %"):
            table.add_column(Text(name), justify="right" if name else "left")
        last_of_boxes = [each.name for each in self.differences if "box" in each.name][-1]
        for each in self.differences:
            values = (f"{v:.3f}" if v is not None else "-" for v in (each.first, each.second))
            value = "-" if each.value is None else f"{each.value:+.3f}"
            ends = "-" if each.interval is None else "{:+.3f} to {:+.3f}".format(*each.interval)
            name = each.name.replace("ap", "AP").replace("_", " ")
            table.add_row(name, *values, value, ends, end_section=each.name == last_of_boxes)
        return table

    def to_json(self) -> dict[str, Any]:
        """The same as plain values, figures under their names."""
        return {
            "first": self.names[0],
            "second": self.names[1],
            "images": self.images,
            "bootstrap": self.bootstrap,
            "differences": {
                each.name.replace(" ", "_"): {
                    "first": each.first,
                    "second": each.second,
                    "difference": each.value,
                    "interval": None if each.interval is None else list(each.interval),
                }
                for each in self.differences
            },
        }


def compare(first: Side, second: Side, *, bootstrap: int = 1000, seed: int = SEED) -> Comparison:
    """The second less the first, in every figure of boxes and masks.

    Each resample of the images is drawn once for both, so that what makes images easy or hard for
    both cancels out.

    Raises:
        DataError: results are missing or damaged, or the images are not the same.
    """
    images = [tuple(image.image_id for image in side.dataset.images) for side in (first, second)]
    if images[0] != images[1]:
        raise DataError(
            f"{first.name} and {second.name} were measured on different images and cannot be "
            "compared; evaluate both on one split"
        )
    weights = draw_images(len(images[0]), bootstrap, seed)
    found = [each for name in _KINDS for each in _differences(name, first, second, weights)]
    return Comparison((first.name, second.name), len(images[0]), bootstrap, tuple(found))


def _differences(
    name: str, first: Side, second: Side, weights: Int[np.ndarray, "W I"]
) -> Iterator[Difference]:
    """Of boxes, or of masks."""
    kind, sides = _KINDS[name], (first, second)
    entries = [read_results(side.folder / f"results_{kind}.json") for side in sides]
    one, drawn_one = _resampled(kind, first.dataset, entries[0], weights)
    if entries[0] == entries[1] and first.dataset == second.dataset:
        two, drawn_two = one, drawn_one  # boxes of one frozen detector
    else:
        two, drawn_two = _resampled(kind, second.dataset, entries[1], weights)
    change = difference(one, two)
    ends = intervals(change, list(map(difference, drawn_one, drawn_two)))
    for key, value in change.items():
        yield Difference(f"{name} {key}", one[key], two[key], value, ends.get(key))


def _resampled(
    kind: Kind, dataset: CocoDataset, entries: Sequence[Entry], weights: Int[np.ndarray, "W I"]
) -> tuple[Overall, list[dict[str, float | None]]]:
    """The figures, and those of every resample."""
    evaluator: Evaluator = "pycocotools" if dataset.federated is None else "vernier"
    evaluation = scored(ground_truth(dataset, kind), entries, kind, evaluator)
    return figures_of(evaluation).overall, Matches(evaluation).figures(weights)
