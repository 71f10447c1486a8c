"""What a report counts over all images: errors, classes, and how far quality can be trusted."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mfd.report.judge import JudgedImage, Verdict

_BINS = 10


@dataclass(frozen=True)
class ClassRow:
    """One category over all images.

    Attributes:
        name: of the category.
        objects: annotated.
        found: by a correct detection.
        missed: that no detection came near.
        confused: names that the detector's boxes over its objects have instead, most frequent
            first, with their number.
    """

    name: str
    objects: int
    found: int
    missed: int
    confused: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Bin:
    """Detections whose expected quality is alike: how well they fit.

    Attributes:
        expected: mean quality.
        measured: mean IoU of the masks with their objects.
        count: of detections.
    """

    expected: float
    measured: float
    count: int


def count_verdicts(images: Sequence[JudgedImage]) -> dict[str, int]:
    """Detections of each verdict, and objects missed."""
    counts = Counter(each.verdict for image in images for each in image.detections)
    missed = sum(sum(image.missed) for image in images)
    return {verdict.value: counts[verdict] for verdict in Verdict} | {"missed": missed}


def class_rows(images: Sequence[JudgedImage], names: Mapping[int, str]) -> list[ClassRow]:
    """A row for each category that has objects, the most frequent first."""
    objects: Counter[int] = Counter()
    found: Counter[int] = Counter()
    missed: Counter[int] = Counter()
    confused: dict[int, Counter[int]] = {}
    for image in images:
        rows = zip(image.objects, image.found, image.missed, image.named, strict=True)
        for each, is_found, is_missed, named in rows:
            category = each.category_id
            objects[category] += 1
            found[category] += is_found
            missed[category] += is_missed
            if named is not None and named != category:
                confused.setdefault(category, Counter())[named] += 1
    return [
        ClassRow(
            names.get(category, str(category)),
            count,
            found[category],
            missed[category],
            tuple(
                (names.get(other, str(other)), number)
                for other, number in confused.get(category, Counter()).most_common(3)
            ),
        )
        for category, count in objects.most_common()
    ]


def calibration(images: Sequence[JudgedImage]) -> list[Bin]:
    """Expected quality against measured IoU, of detections whose box covers an object of theirs."""
    groups: dict[int, list[tuple[float, float]]] = {}
    for image in images:
        for each in image.detections:
            if each.box_iou >= 0.5:
                expected = min(each.detection.quality, 1.0)
                place = min(int(expected * _BINS), _BINS - 1)
                groups.setdefault(place, []).append((expected, each.iou))
    return [
        Bin(
            sum(expected for expected, _ in group) / len(group),
            sum(measured for _, measured in group) / len(group),
            len(group),
        )
        for _, group in sorted(groups.items())
    ]
