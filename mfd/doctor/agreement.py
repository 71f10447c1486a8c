"""Whether detector and data mean the same by a category, and it finds their objects."""

from mfd.coco import ByHand, CocoDataset, match_categories
from mfd.config import Exif
from mfd.detectors import Detector, DetectorSpec, check_repeatable
from mfd.doctor.detections import DetectionCheck, check_detections
from mfd.doctor.report import Report
from mfd.images import load_image
from mfd.text import some

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


def examine_repeats(dataset: CocoDataset, detector: Detector) -> None:
    """Nothing, if the detector finds the same in an image each time.

    Raises:
        DetectorError: it does not.
        DataError: the image cannot be used.
    """
    entry = dataset.images[0]
    image = load_image(dataset.path(entry), detector.spec.preprocessing, entry.size_hw)
    check_repeatable(detector, image)


def examine_agreement(
    report: Report, name: str, dataset: CocoDataset, detector: Detector, by_hand: ByHand
) -> None:
    """Say how categories were matched, which of them the detector lacks, and what it finds.

    Args:
        by_hand: categories matched in `mfd.toml`.

    Raises:
        MfdError: it is not clear which of the detector's categories is meant.
    """
    spec = detector.spec
    matched = match_categories(dataset, spec.category_ids, spec.names, by_hand)
    if table := matched.table():
        report.say(f"{name}: {table}")
    if matched.note:
        report.say(f"{name}: {matched.note}", good=False)
    known = not matched.nothing_known
    dataset = matched.dataset if known else dataset
    check = check_detections(detector, dataset)
    if check.objects == 0:
        return
    text = (
        f"{name}: on {check.images} images the detector finds {check.recalled} of {check.objects} "
        "objects"
    )
    if known:
        text += f", and names {check.classified} of them as annotated"
    if check.is_chance:
        report.say(
            f"{text}; its boxes of another image would find {check.by_chance:.0f}, so look whether "
            "its weights are loaded, at its preprocessing, and at the boxes",
            good=False,
        )
    elif not known:  # of new classes it may find few: whether enough, training shows
        report.say(text)
    elif check.recalled < _MIN_RECALLED * check.objects:
        report.say(f"{text}; look at its weights and preprocessing, and at the boxes", good=False)
    elif check.classified < _MIN_CLASSIFIED * check.recalled:
        report.say(f"{text}; {_different(spec, dataset)}", good=False)
    else:
        report.say(text)


def _different(spec: DetectorSpec, dataset: CocoDataset) -> str:
    """Why detector and annotations name objects differently, and what to do."""
    if spec.names:
        return "their categories have the same names, so look at the labels, and at its weights"
    used = sorted(set(dataset.annotations.category_ids.tolist()))
    annotated = some(f"{i} {dataset.categories[i]!r}" for i in used)
    return (
        f"the ids do not mean the same: those of the detector are {some(spec.category_ids)}, those "
        f"annotated {annotated}; write which is which under [categories] in mfd.toml"
    )


def check_read(detector: Detector, dataset: CocoDataset, exif: Exif) -> DetectionCheck:
    """`check_detections` on images that are turned as EXIF says, or taken as stored."""
    spec = detector.spec
    detector.spec = spec.with_exif(exif)
    try:
        return check_detections(detector, dataset)
    finally:
        detector.spec = spec
