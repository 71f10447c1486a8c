"""Images that EXIF says are stored turned: whether their labels were made on them upright."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from mfd.coco import CocoDataset, ImageEntry, sample_evenly
from mfd.doctor.detections import DetectionCheck
from mfd.doctor.report import Report, some
from mfd.errors import DataError
from mfd.images import ImageHeader, read_header

HEADERS_READ = 1000
_IMAGES_TRIED = 8
_LEAD = 1.5  # how many times more objects are found on the pixels that labels belong to

Check = Callable[[CocoDataset, bool], DetectionCheck]
"""What the detector finds on a data set, upright or as stored."""


def examine_orientation(
    report: Report, name: str, dataset: CocoDataset, upright: bool, check: Check
) -> None:
    """Say how many images are stored turned, and to which pixels their labels belong.

    Labels of a size that only the upright or only the stored image has belong to that; of the
    others the detector finds more objects on the right pixels.

    Args:
        upright: how images are read now.
    """
    sample = sample_evenly(dataset.images, HEADERS_READ)
    turned = [(entry, header) for entry in sample if (header := _turned(dataset, entry))]
    if not turned:
        return
    said = (
        f"{name}: {len(turned)} of {len(sample)} images tried are stored turned, as their EXIF "
        f"orientation says ({some(entry.file_name for entry, _ in turned)})"
    )
    labels_upright, reason = _labels_upright(dataset, turned, check)
    if labels_upright is None:
        report.say(f"{said}; whether their labels were made on them upright is not clear: {reason}")
        return
    where = "upright" if labels_upright else "stored"
    text = f"{said}; their labels belong to the {where} pixels: {reason}"
    if labels_upright == upright:
        report.say(text)
    else:
        switch = "apply" if labels_upright else "ignore"
        report.say(f'{text}; set exif = "{switch}" in mfd.toml', good=False)


def _turned(dataset: CocoDataset, entry: ImageEntry) -> ImageHeader | None:
    try:
        header = read_header(dataset.path(entry))
    except DataError:
        return None  # reported when the image is opened
    return header if header.orientation > 1 else None


def _labels_upright(
    dataset: CocoDataset, turned: Sequence[tuple[ImageEntry, ImageHeader]], check: Check
) -> tuple[bool | None, str]:
    """Whether labels belong to the upright pixels, and how that is known."""
    sizes: dict[bool, int] = {False: 0, True: 0}
    either = []
    for entry, header in turned:
        if header.orientation < 5 or header.size_hw[0] == header.size_hw[1]:
            either.append(entry)
        else:
            sizes[entry.size_hw == header.size_hw[::-1]] += 1
    if any(sizes.values()):
        reason = f"by their sizes {sizes[True]} upright, {sizes[False]} stored"
        return (None if all(sizes.values()) else sizes[True] > 0), reason
    labelled = [entry for entry in either if entry.image_id in dataset.annotations]
    subset = replace(dataset, images=tuple(sample_evenly(labelled, _IMAGES_TRIED)))
    stored, upright = check(subset, False), check(subset, True)
    reason = (
        f"of {upright.objects} objects the detector finds {upright.recalled} upright, "
        f"{stored.recalled} stored"
    )
    few, many = sorted((stored.recalled, upright.recalled))
    return (upright.recalled > stored.recalled if many > _LEAD * few + 1 else None), reason
