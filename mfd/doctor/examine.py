"""What is wrong with environment, data, detector and stores of a project, and how to fix it."""

from functools import partial
from pathlib import Path

from mfd import opening
from mfd.config import Project
from mfd.doctor.agreement import (
    check_read,
    describe_detector,
    examine_agreement,
    examine_repeats,
)
from mfd.doctor.data import examine_data
from mfd.doctor.environment import examine_environment
from mfd.doctor.report import Line, Report
from mfd.doctor.stores import examine_stores


def examine(
    project: Project,
    split: str | None = None,
    images: Path | None = None,
    annotations: Path | None = None,
) -> list[Line]:
    """Everything that the commands rely on, looked at before they run.

    Args:
        split: only this one; all that the data has by default.
        images: with `annotations`, a custom data set in place of the project's.
    """
    report = Report()
    examine_environment(report)
    detector = report.attempt(opening.open_detector, project.choice, "cpu", project.exif)
    exif = project.exif or "ignore" if detector is None else detector.spec.exif
    check = None if detector is None else partial(check_read, detector)
    own = images is not None and annotations is not None
    names = [split] if split else ["data"]
    if not (split or own):
        names = report.attempt(opening.split_names, project) or []
    datasets = {}
    for name in names:
        dataset = report.attempt(
            opening.open_dataset, project, name, images, annotations, skip_invalid=True
        )
        if dataset is None:
            continue
        present = report.attempt(examine_data, report, name, dataset, exif, check)
        if present is not None:
            datasets[name] = present
    if detector is not None:
        describe_detector(report, detector.spec)
        for dataset in list(datasets.values())[:1]:
            report.attempt(examine_repeats, dataset, detector)
        for name, dataset in datasets.items():
            report.attempt(examine_agreement, report, name, dataset, detector, project.categories)
    spec = None if detector is None else detector.spec
    report.attempt(examine_stores, report, project, datasets, spec)
    return report
