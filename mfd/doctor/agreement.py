"""Whether detector and data mean the same by a category, and it finds their objects."""

from collections.abc import Iterator
from contextlib import contextmanager

from mfd.coco import CocoDataset
from mfd.config import Exif
from mfd.detectors import Detector, DetectorSpec
from mfd.doctor.detections import DetectionCheck, check_detections
from mfd.doctor.report import Report, some, some_categories

# Of 78 objects on 8 COCO images DEIMv2-femto finds 53 and names 45 of them as annotated; with ids
# off by one it names none, with pixels scaled twice it finds 4, with random weights none.
_MIN_RECALLED = 0.25  # of all objects
_MIN_CLASSIFIED = 0.5  # of those


def describe_detector(report: Report, spec: DetectorSpec) -> None:
    """Say which detector it is."""
    strides = ", ".join(map(str, spec.strides))
    c1 = f"C1 of width {spec.c1_channels} at stride {spec.c1_stride}" if spec.has_c1 else "no C1"
    report.say(
        f"detector {spec.name}: {spec.num_queries} queries of width {spec.dim}, encoder maps at "
        f"strides {strides}, {c1}, weights {spec.weights_digest[:12]}"
    )


def examine_agreement(report: Report, name: str, dataset: CocoDataset, detector: Detector) -> None:
    """Say which categories the detector lacks, and what it finds of a few images' objects."""
    known = detector.spec.category_ids
    used = [a.category_id for found in dataset.annotations.values() for a in found]
    if unknown := sorted(set(used) - set(known)):
        count = sum(category in unknown for category in used)
        report.say(
            f"{name}: {count} of {len(used)} objects are of categories the detector does not know "
            f"({some_categories(unknown, dataset.categories)}) and are left out; it knows "
            f"{some(known)}",
            good=False,
        )
    check = check_detections(detector, dataset)
    if check.objects == 0:
        return
    text = (
        f"{name}: on {check.images} images the detector finds {check.recalled} of {check.objects} "
        f"objects, and names {check.classified} of them as annotated"
    )
    if check.recalled < _MIN_RECALLED * check.objects:
        report.say(f"{text}; look at its weights and preprocessing, and at the boxes", good=False)
    elif check.classified < _MIN_CLASSIFIED * check.recalled:
        report.say(
            f"{text}; the ids do not mean the same: those of the detector are {some(known)}, "
            f"those annotated {some_categories(sorted(set(used)), dataset.categories)}; give the "
            "annotations the detector's ids",
            good=False,
        )
    else:
        report.say(text)


def check_read(detector: Detector, dataset: CocoDataset, exif: Exif) -> DetectionCheck:
    """`check_detections` on images that are turned as EXIF says, or taken as stored."""
    with _reading(detector, exif):
        return check_detections(detector, dataset)


@contextmanager
def _reading(detector: Detector, exif: Exif) -> Iterator[None]:
    spec = detector.spec
    detector.spec = spec.with_exif(exif)
    try:
        yield
    finally:
        detector.spec = spec
