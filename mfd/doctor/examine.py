"""What is wrong with environment, data, detector and stores of a project, and how to mend it."""

import os
import platform
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mfd.config import FILE_NAME, Project
from mfd.errors import DataError, MfdError

if TYPE_CHECKING:
    from mfd.coco import CocoDataset
    from mfd.detectors import DetectorSpec

Result = TypeVar("Result")

IMAGES_OPENED = 64
_NAMED = 5  # of many faults or categories, how many a line names

# Of 78 objects on 8 COCO images DEIMv2-femto finds 53 and names 45 of them as annotated; with ids
# off by one it names none, with pixels scaled twice it finds 4, with random weights none.
_LEAST_FOUND = 0.25  # of all objects
_LEAST_NAMED = 0.5  # of those


@dataclass(frozen=True)
class Finding:
    """One line of a report, and whether all is well."""

    text: str
    good: bool = True


class _Report(list[Finding]):
    """Findings in the order they are made."""

    def say(self, text: str, *, good: bool = True) -> None:
        self.append(Finding(text, good))

    def attempt(self, check: Callable[..., Result], *arguments: Any) -> Result | None:
        """What the check returns; None and its error as a finding if it raises one."""
        try:
            return check(*arguments)
        except MfdError as error:
            self.say(str(error), good=False)
            return None


def examine(
    project: Project,
    split: str | None = None,
    images: Path | None = None,
    annotations: Path | None = None,
) -> list[Finding]:
    """Everything that the commands rely on, looked at before they run.

    Args:
        split: only this one; both of COCO's by default.
        images: with `annotations`, data of one's own in place of the project's.
    """
    from mfd.opening import open_dataset, open_detector

    report = _Report()
    _environment(report)
    own = images is not None and annotations is not None
    names = [split] if split else ["data"] if own else ["train", "val"]
    datasets = {}
    for name in names:
        dataset = report.attempt(open_dataset, project, name, images, annotations)
        present = None if dataset is None else report.attempt(_data, report, name, dataset)
        if present is not None:
            datasets[name] = present
    detector = report.attempt(open_detector, project.choice)
    if detector is not None:
        _detector(report, detector.spec)
        for name, dataset in datasets.items():
            report.attempt(_agreement, report, name, dataset, detector)
    _stores(report, project, datasets, None if detector is None else detector.spec)
    return report


def _environment(report: _Report) -> None:
    import torch

    import mfd
    from mfd.kernels import kernel_report

    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    report.say(f"mfd {mfd.__version__}, {versions}")
    devices = [torch.device("cuda", i) for i in range(torch.cuda.device_count())]
    for device in devices or [torch.device("cpu")]:
        report.say(kernel_report(device))
    if not Path(FILE_NAME).exists():
        report.say(f"no {FILE_NAME} in {Path().absolute()}, so defaults and flags count")


def _data(report: _Report, name: str, dataset: "CocoDataset") -> "CocoDataset | None":
    """The data set of the images that are there, or None if one of those tried cannot be used."""
    from mfd.coco import check_consistency, sample_evenly
    from mfd.images import read_rgb

    objects = [a for found in dataset.annotations.values() for a in found]
    crowd = sum(a.iscrowd for a in objects)
    text = (
        f"{name}: {len(dataset.images)} images, {len(objects)} objects (crowd regions: {crowd}), "
        f"categories: {len(dataset.categories)}"
    )
    if dataset.skipped:
        text += f"; annotations left out: {len(dataset.skipped)}, first {dataset.skipped[0]}"
    report.say(text)
    if crowd == len(objects):
        report.say(
            f"{name}: there is no object to learn from or to be measured by; look at "
            f"'annotations' in {dataset.annotations_file}",
            good=False,
        )
    for finding in check_consistency(dataset):
        if finding.notable:
            report.say(f"{name}: {finding}", good=False)
    present = dataset.present()
    there = set(present.images)
    if missing := [entry.file_name for entry in dataset.images if entry not in there]:
        report.say(
            f"{name}: images that are not in {dataset.images_dir}: {len(missing)}, "
            f"{_some(missing)}",
            good=False,
        )
    opened = sample_evenly(present.images, IMAGES_OPENED)
    faults = []
    for entry in opened:
        try:
            read_rgb(dataset.path(entry), entry.size_hw)
        except DataError as error:
            faults.append(str(error))
    for fault in faults[:_NAMED]:
        report.say(f"{name}: {fault}", good=False)
    report.say(
        f"{name}: {len(opened) - len(faults)} of {len(opened)} images tried can be used, "
        "their sizes are as annotated",
        good=not faults,
    )
    return None if faults else present


def _detector(report: _Report, spec: "DetectorSpec") -> None:
    strides = ", ".join(map(str, spec.strides))
    report.say(
        f"detector {spec.name}: {spec.num_queries} queries of width {spec.dim}, encoder maps at "
        f"strides {strides}, weights {spec.weights_digest[:12]}"
    )


def _agreement(report: _Report, name: str, dataset: "CocoDataset", detector: Any) -> None:
    """Whether detector and data mean the same by a category, and it finds their objects."""
    from mfd.doctor.detections import check_detections

    known = detector.spec.category_ids
    used = [a.category_id for found in dataset.annotations.values() for a in found]
    if unknown := sorted(set(used) - set(known)):
        count = sum(category in unknown for category in used)
        report.say(
            f"{name}: {count} of {len(used)} objects are of categories the detector does not know "
            f"({_named(unknown, dataset.categories)}) and are left out; it knows {_some(known)}",
            good=False,
        )
    check = check_detections(detector, dataset)
    if check.objects == 0:
        return
    text = (
        f"{name}: on {check.images} images the detector finds {check.recalled} of {check.objects} "
        f"objects, and names {check.classified} of them as annotated"
    )
    if check.recalled < _LEAST_FOUND * check.objects:
        report.say(f"{text}; look at its weights and preprocessing", good=False)
    elif check.classified < _LEAST_NAMED * check.recalled:
        report.say(
            f"{text}; the ids do not mean the same: those of the detector are {_some(known)}, "
            f"those annotated {_named(sorted(set(used)), dataset.categories)}; give the "
            "annotations the detector's ids",
            good=False,
        )
    else:
        report.say(text)


def _stores(
    report: _Report,
    project: Project,
    datasets: "Mapping[str, CocoDataset]",
    spec: "DetectorSpec | None",
) -> None:
    from mfd.cache import list_stores
    from mfd.extract import estimate
    from mfd.text import size

    stores, errors = list_stores(project.stores)
    free = shutil.disk_usage(_existing(project.stores)).free
    report.say(f"stores under {project.stores}: {len(stores)}, disk free: {size(free)}")
    for folder in (project.stores, project.runs):
        if not os.access(_existing(folder), os.W_OK | os.X_OK):
            report.say(
                f"nothing can be written to {_existing(folder)}, where {folder} shall be; change "
                "its permissions, or name other folders by --stores and --runs",
                good=False,
            )
    for store in stores:
        if not store.complete:
            report.say(f"store {store.path.name} is unfinished; `mfd extract` goes on with it")
    for error in errors:
        report.say(str(error), good=False)
    if spec is None:
        return
    done = {store.split for store in stores if _weights(store.spec) == _weights(spec)}
    for name in sorted(datasets.keys() - done):
        full = estimate(datasets[name], spec, "full").num_bytes
        lite = estimate(datasets[name], spec, "lite").num_bytes
        text = f"{name}: the store will need {size(full)}, with --profile lite {size(lite)}"
        if full <= free:
            report.say(text)
        else:
            report.say(f"{text}; make room, or name another disk by --stores", good=False)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    whole = folder.absolute()
    return next(each for each in (whole, *whole.parents) if each.exists())


def _weights(spec: "DetectorSpec") -> tuple[str, int]:
    return spec.weights_digest, spec.encoder_layer


def _named(ids: Collection[int], names: Mapping[int, str]) -> str:
    return _some(f"{i} {names[i]!r}" for i in ids)


def _some(values: Iterable[object]) -> str:
    """The first few values, and how many more there are."""
    shown = [str(value) for value in values]
    more = f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
    return ", ".join(shown[:_NAMED]) + more
