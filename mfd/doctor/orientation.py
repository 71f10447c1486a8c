"""Images that EXIF says are stored turned: whether their labels were made on them upright."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from mfd.coco import CocoDataset, ImageEntry, sample_evenly
from mfd.config import Exif
from mfd.doctor.detections import DetectionCheck
from mfd.doctor.report import Report
from mfd.errors import DataError
from mfd.images import ImageHeader, read_header
from mfd.text import some

HEADERS_READ = 1000
_IMAGES_TRIED = 8
_LEAD = 1.5  # how many times more objects are found on the pixels that labels belong to

Check = Callable[[CocoDataset, Exif], DetectionCheck]
"""What the detector finds on a data set whose images are turned as EXIF says, or not."""


def examine_orientation(
    report: Report, name: str, dataset: CocoDataset, exif: Exif, check: Check | None
) -> None:
    """Say how many images are stored turned, and to which pixels their labels belong.

    Labels of a size that only the upright or only the stored image has belong to that; of the
    others the detector finds more objects on the right pixels.

    Args:
        exif: how images are read now.
        check: None where there is no detector, or its trial would say nothing.
    """
    sample = sample_evenly(dataset.images, HEADERS_READ)
    turned = [(entry, header) for entry in sample if (header := _turned(dataset, entry))]
    if not turned:
        return
    said = (
        f"{name}: {len(turned)} of {len(sample)} images tried are stored turned, as their EXIF "
        f"orientation says ({some(entry.file_name for entry, _ in turned)})"
    )
    upright, stored, either = _by_size(turned)
    if upright and stored:
        report.say(
            f"{said}; by their sizes {upright} have labels of the upright pixels, {stored} of the "
            "stored ones; store all of them upright, with labels that belong to that",
            good=False,
        )
        return
    reason = f"by their sizes {upright} upright, {stored} stored"
    right: Exif | None = "apply" if upright else "ignore"
    if not (upright or stored):
        right, reason = _by_hits(dataset, either, check)
    if right is None:
        report.say(f"{said}; whether their labels were made on them upright is not clear: {reason}")
        return
    where = "upright" if right == "apply" else "stored"
    text = f"{said}; their labels belong to the {where} pixels: {reason}"
    if right == exif:
        report.say(text)
    else:
        report.say(f'{text}; set exif = "{right}" in mfd.toml', good=False)


def _turned(dataset: CocoDataset, entry: ImageEntry) -> ImageHeader | None:
    try:
        header = read_header(dataset.path(entry))
    except DataError:
        return None  # reported when the image is opened
    return header if header.orientation > 1 else None


def _by_size(
    turned: Sequence[tuple[ImageEntry, ImageHeader]],
) -> tuple[int, int, list[ImageEntry]]:
    """How many labels have the upright size, how many the stored one; images where both are it."""
    sizes = {False: 0, True: 0}
    either = []
    for entry, header in turned:
        if header.orientation < 5 or header.size_hw[0] == header.size_hw[1]:
            either.append(entry)
        else:
            sizes[entry.size_hw == header.size_hw[::-1]] += 1
    return sizes[True], sizes[False], either


def _by_hits(
    dataset: CocoDataset, turned: Sequence[ImageEntry], check: Check | None
) -> tuple[Exif | None, str]:
    """How images must be read for the detector to find their objects, and what it found."""
    if check is None:
        return None, "no detector was tried on them"
    labelled = [entry for entry in turned if entry.image_id in dataset.annotations]
    subset = replace(dataset, images=tuple(sample_evenly(labelled, _IMAGES_TRIED)))
    stored, upright = check(subset, "ignore"), check(subset, "apply")
    reason = (
        f"of {upright.objects} objects the detector finds {upright.recalled} upright, "
        f"{stored.recalled} stored"
    )
    few, many = sorted((stored.recalled, upright.recalled))
    if many <= _LEAD * few + 1:
        return None, reason
    return ("apply" if upright.recalled > stored.recalled else "ignore"), reason
