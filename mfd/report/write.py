"""A report as one HTML file that needs no other file and no network."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

import mfd
from mfd.coco import CocoDataset
from mfd.errors import DataError
from mfd.files import write_atomically
from mfd.headtrain import MIN_SCORE, Comparison, Run, Side, compare
from mfd.report import counts, curves, pictures, sections
from mfd.report.judge import JudgedImage, judge_image
from mfd.report.results import read_detections
from mfd.report.subject import Subject
from mfd.report.templates import render
from mfd.text import duration

_HERE = Path(__file__).parent
PICTURES = 8
"""Images of each group: best, median and worst."""


def write_report(
    path: Path,
    runs: Sequence[Run],
    datasets: Sequence[CocoDataset],
    split: str,
    *,
    min_score: float = MIN_SCORE,
    bootstrap: int = 0,
    say: Callable[[str], object] = lambda line: None,
) -> None:
    """Write a page about runs that were evaluated on one data set.

    The first run is shown with its images and categories, the others beside it.

    Args:
        path: of the HTML file.
        runs: at least one.
        datasets: what each was evaluated on: the same images, in the categories of its detector.
        split: what their evaluations call it.
        min_score: least class score of the detections that are judged and drawn.
        bootstrap: resamples of the images for the intervals of differences; 0: no intervals.
        say: is told what is left out.

    Raises:
        ConfigError: a run was not evaluated on the split.
        DataError: its results are missing or damaged.
        OSError: as the file system does.
    """
    subjects = [Subject.of(run, split) for run in runs]
    first, dataset = subjects[0], datasets[0]
    compared = _compare(subjects, datasets, bootstrap) if bootstrap else []
    judged = _judge(first, dataset, min_score)
    upright = first.run.config.spec.preprocessing.upright
    drawn = []
    for group, image in pictures.choose(judged, PICTURES):
        try:
            drawn.append(pictures.draw(group, image, dataset, upright))
        except DataError as error:
            say(f"left out: {error}")
    content = _content(subjects, compared, judged, dataset, split, min_score)
    write_atomically(path, render("page.html", **content, pictures=drawn).encode())


def _compare(
    subjects: Sequence[Subject], datasets: Sequence[CocoDataset], bootstrap: int
) -> list[Comparison]:
    """Every further run against the first."""
    sides = [Side(s.name, s.folder, d) for s, d in zip(subjects, datasets, strict=True)]
    return [compare(sides[0], side, bootstrap=bootstrap) for side in sides[1:]]


def _judge(subject: Subject, dataset: CocoDataset, min_score: float) -> list[JudgedImage]:
    detections = read_detections(subject.folder, min_score, class_agnostic=dataset.class_agnostic)
    return [
        judge_image(
            entry.image_id,
            entry.size_hw,
            detections.get(entry.image_id, ()),
            dataset.annotations.get(entry.image_id, ()),
        )
        for entry in dataset.images
    ]


def _content(
    subjects: Sequence[Subject],
    compared: Sequence[Comparison],
    judged: Sequence[JudgedImage],
    dataset: CocoDataset,
    split: str,
    min_score: float,
) -> dict[str, Any]:
    """What the page's template shows, but for the pictures."""
    first = subjects[0]
    config, evaluation = first.run.config, first.evaluation
    names = dict(config.categories) | dataset.categories
    return {
        "figures": sections.figures_table(subjects),
        "differences": sections.difference_table(compared) if compared else None,
        "costs": sections.cost_table(subjects),
        "charts": curves.charts(subjects, counts.calibration(judged)),
        "errors": sections.error_bars(counts.count_verdicts(judged)),
        "classes": sections.class_table(counts.class_rows(judged, names), first.categories, names),
        "title": " and ".join(subject.name for subject in subjects),
        "facts": [
            f"preset {config.preset or 'none'}",
            f"detector {config.spec.name}",
            f"store {evaluation.get('store')}",
            f"{split}: {evaluation.get('images')} images",
        ],
        "cards": _cards(first),
        "notes": evaluation.get("notes", []),
        "baseline": first.name if len(subjects) > 1 else None,
        "differences_text": "95 % intervals of the difference, from "
        f"{compared[0].bootstrap if compared else 0} resamples of the images, the same for both. "
        "One that holds 0 may be chance; the others are coloured.",
        "errors_text": f"{first.name}: detections with a class score of at least {min_score:g}, by "
        "the IoU of their masks, and the objects that they leave out.",
        "classes_text": "Objects are found by a mask of IoU 0.5 and the right category. They are "
        "taken for the category of the best detection whose box covers them.",
        "footer": f"mfd {mfd.__version__}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "style": Markup((_HERE / "page.css").read_text(encoding="utf-8")),
        "script": Markup((_HERE / "page.js").read_text(encoding="utf-8")),
    }


def _cards(subject: Subject) -> list[dict[str, str]]:
    """The figures that come first."""
    box, mask = (subject.evaluation.get(f"{name}_ap") for name in ("box", "mask"))
    ratio = f"{mask / box:.0%}" if box and mask is not None else "-"
    seconds = subject.cost.get("training", {}).get("seconds")
    return [
        {"label": "mask AP", "value": "-" if mask is None else f"{mask:.3f}"},
        {"label": "box AP", "value": "-" if box is None else f"{box:.3f}"},
        {"label": "of box AP", "value": ratio},
        {"label": "images", "value": str(subject.evaluation.get("images", "-"))},
        {"label": "training", "value": "-" if seconds is None else duration(seconds)},
    ]
