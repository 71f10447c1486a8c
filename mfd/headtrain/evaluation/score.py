"""A row of figures for every set of detections."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int
from pycocotools.coco import COCO

from mfd.config import Evaluator
from mfd.headtrain.evaluation.metrics.bootstrap import draw_images, intervals
from mfd.headtrain.evaluation.metrics.coco import figures_of, scored
from mfd.headtrain.evaluation.metrics.evaluators import Kind
from mfd.headtrain.evaluation.metrics.figures import Figures
from mfd.headtrain.evaluation.metrics.matches import Matches
from mfd.headtrain.evaluation.report import Group, Row
from mfd.headtrain.evaluation.results import Entry

SEED = 0
"""Of the resamples, so that intervals can be repeated, and runs be compared on the same ones."""

_GROUPS: dict[str, Group] = {
    "boxes": "main",
    "masks": "main",
    "boundaries": "main",
    "filled boxes": "baseline",
    "untrained head": "baseline",
    "oracle boxes": "oracle",
    "oracle classes": "oracle",
    "oracle masks": "oracle",
    "oracle ranking": "oracle",
}


def score(
    entries: Mapping[str, Sequence[Entry]],
    seconds: Mapping[str, float],
    truth: COCO,
    evaluator: Evaluator = "pycocotools",
    bootstrap: int = 0,
) -> tuple[Row, ...]:
    """The rows, in the order of `_GROUPS`; other names are those of models compared.

    Args:
        entries: by the names of their rows.
        seconds: that some of them took.
        evaluator: vernier adds the boundaries of the masks.
        bootstrap: resamples for confidence intervals, of results and of models compared.
    """
    kinds: dict[str, Kind] = {name: "bbox" if name == "boxes" else "segm" for name in entries}
    sources = {name: name for name in entries}
    if evaluator == "vernier" and "masks" in entries:
        kinds["boundaries"], sources["boundaries"] = "boundary", "masks"
    weights = draw_images(len(truth.imgs), bootstrap, SEED) if bootstrap else None
    order = [name for name in _GROUPS if name in kinds]
    order += [name for name in kinds if name not in _GROUPS]
    rows = []
    for name in order:
        group = _GROUPS.get(name, "compared")
        drawn = weights if group in ("main", "compared") else None
        figures = _figures(truth, entries[sources[name]], kinds[name], evaluator, drawn)
        results = entries[name] if name in ("boxes", "masks") else None
        took = None if name == "boxes" else seconds.get(name)
        rows.append(Row(name, kinds[name], figures, results, group, took))
    return tuple(rows)


def _figures(
    truth: COCO,
    entries: Sequence[Entry],
    kind: Kind,
    evaluator: Evaluator,
    weights: Int[np.ndarray, "W I"] | None,
) -> Figures:
    evaluation = scored(truth, entries, kind, evaluator)
    figures = figures_of(evaluation)
    if weights is None:
        return figures
    samples = Matches(evaluation).figures(weights)
    return replace(figures, intervals=intervals(figures.overall, samples))
