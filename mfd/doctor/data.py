"""Annotations and images: what is there, what can be used, and what contradicts itself."""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from mfd.coco import CocoDataset, check_consistency, repeated_files, sample_evenly
from mfd.config import Exif
from mfd.doctor.orientation import Check, examine_orientation
from mfd.doctor.report import Report
from mfd.errors import DataError
from mfd.files import file_sha256
from mfd.images import read_header, read_rgb
from mfd.text import MAX_NAMED, some

IMAGES_OPENED = 64
_FIRST_BYTES = 4096  # which tell most files of one size apart


def examine_data(
    report: Report, name: str, dataset: CocoDataset, exif: Exif, check: Check | None = None
) -> CocoDataset | None:
    """Say what is wrong with the data set; None if it is not worth trying a detector on.

    Returns:
        the data set of the images that are there.

    Args:
        dataset: read without its invalid annotations.
        exif: whether images are turned as their EXIF orientation says.
        check: what the detector finds; None without a detector.
    """
    _examine_objects(report, name, dataset)
    present = dataset.present()
    _examine_files(report, name, dataset, present)
    sound = True
    for finding in (*repeated_files(dataset, _contents(present)), *check_consistency(dataset)):
        report.say(f"{name}: {finding}", good=not finding.notable)
        sound = sound and not finding.certain
    examine_orientation(report, name, present, exif, check if sound else None)
    usable = _examine_pixels(report, name, present, exif)
    return present if usable and sound else None


def _examine_objects(report: Report, name: str, dataset: CocoDataset) -> None:
    found = dataset.annotations
    objects, crowd, boxes_only = len(found.ids), found.is_crowd.sum(), (~found.has_mask).sum()
    report.say(
        f"{name}: {len(dataset.images)} images, {objects} objects (crowd regions: {crowd}, "
        f"with a box only: {boxes_only}), categories: {len(dataset.categories)}"
    )
    for finding in dataset.skipped_by_kind():
        report.say(
            f"{name}: annotations that cannot be used, {finding}; --skip-invalid leaves them out",
            good=False,
        )
    if crowd == objects:
        report.say(
            f"{name}: there is no object to learn from or to be measured by; look at "
            f"'annotations' in {dataset.annotations_file}",
            good=False,
        )
    elif boxes_only == objects:
        report.say(
            f"{name}: no object has a mask, which is what a head learns; look at 'segmentation' in "
            f"{dataset.annotations_file}",
            good=False,
        )


def _examine_files(report: Report, name: str, dataset: CocoDataset, present: CocoDataset) -> None:
    there = set(present.images)
    missing = [entry for entry in dataset.images if entry not in there]
    if not missing:
        return
    report.say(
        f"{name}: images that are not in {dataset.images_dir}: {len(missing)}, "
        f"{some(entry.file_name for entry in missing)}",
        good=False,
    )
    strange = [dataset.path(entry) for entry in missing if dataset.path(entry).exists()]
    for path in strange[:MAX_NAMED]:  # such as pipes
        report.attempt(read_header, path)


def _examine_pixels(report: Report, name: str, dataset: CocoDataset, exif: Exif) -> bool:
    """Whether all images of a sample can be used."""
    opened = sample_evenly(dataset.images, IMAGES_OPENED)
    faults = []
    for entry in opened:
        try:
            read_rgb(dataset.path(entry), entry.size_hw, upright=exif == "apply")
        except DataError as error:
            faults.append(str(error))
    for fault in faults[:MAX_NAMED]:
        report.say(f"{name}: {fault}", good=False)
    report.say(
        f"{name}: {len(opened) - len(faults)} of {len(opened)} images tried can be used, "
        "their sizes are as annotated",
        good=not faults,
    )
    return not faults


def _contents(dataset: CocoDataset) -> dict[int, str]:
    """By image id, a text for each content that several files have.

    Files are told apart by size, then by their first bytes, so that few are read.
    """
    paths = {entry.image_id: dataset.path(entry) for entry in dataset.images}
    groups = _groups(list(paths.values()), os.path.getsize)
    for key in (_first_bytes, file_sha256):
        groups = [twins for group in groups for twins in _groups(group, key)]
    number = {path: f"content {i}" for i, group in enumerate(groups) for path in group}
    return {image_id: number[path] for image_id, path in paths.items() if path in number}


def _groups(paths: Sequence[Path], key: Callable[[Path], object]) -> list[list[Path]]:
    """The paths that share a key with another."""
    found: dict[object, list[Path]] = defaultdict(list)
    for path in paths:
        try:
            found[key(path)].append(path)
        except OSError:
            continue  # reported when it is opened
    return [group for group in found.values() if len(group) > 1]


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_FIRST_BYTES)
