"""Whether boxes, masks, areas and image sizes of a data set fit each other.

Each object's box is compared with the extent of its mask. Where they differ, the box is read in
the ways that exports are known to write it; the reading that fits names the export.
"""

import numpy as np
from jaxtyping import Bool

from mfd.coco import readings
from mfd.coco.dataset import CocoDataset
from mfd.coco.extent import Objects, measure
from mfd.coco.findings import Finding, summary
from mfd.coco.repeats import repeated_objects
from mfd.errors import DataError
from mfd.text import MAX_NAMED

Rows = Bool[np.ndarray, " N"]

_UNIT = 1.5  # largest coordinate of boxes and polygons that are written in 0..1
_MOST = 0.5  # share of the objects from which on a kind is certain
_MANY_OUTSIDE = 0.1  # share of boxes out of their images that no sound data set has
_SOME_OUTSIDE = 0.03  # likewise, where another reading puts all of them inside
_MIN_OBJECTS = 20  # from which on what holds for all of them is no accident
_UPPER_LEFT = 0.75  # share of the images' sides
_AREA_RATIO = 2.0  # between annotated area and the mask's
_AREA_SLACK = 32.0  # pixels

_POLYGONS_IN_UNIT = "polygons in 0..1"
_PIXELS = "coordinates must be in pixels: multiply them by the image's width and height"
_COCO_BOX = "COCO's bbox is [left, top, width, height]"
_ADVICE = {
    "boxes in 0..1": f"YOLO and Albumentations write such; {_PIXELS}",
    _POLYGONS_IN_UNIT: f"YOLO writes such; {_PIXELS}",
    "boxes written as corners": f"they look like [x1, y1, x2, y2], as Pascal VOC and torchvision "
    f"write them; {_COCO_BOX}",
    "boxes written by their centre": f"they look like [centre x, centre y, width, height], as YOLO "
    f"writes them; {_COCO_BOX}",
    "boxes in (y, x) order": f"they look like [top, left, height, width]; {_COCO_BOX}",
    "boxes written as corners in (y, x) order": f"they look like [y1, x1, y2, x2], as TensorFlow "
    f"writes them; {_COCO_BOX}",
    readings.POLYGONS_SWAPPED: "they look like [y, x, y, x, ...], as array indices are; COCO's are "
    "[x, y, x, y, ...]",
    readings.BOTH_SWAPPED: "they fit into the images only with x and y exchanged",
    readings.RESIZED: "one is the other, enlarged or shrunk; give both in pixels of the images",
    readings.DIFFERENT: "box and mask have less than half of their extent in common; look whether "
    "annotations were mixed up",
}


def require_consistent(dataset: CocoDataset) -> list[Finding]:
    """The findings of `check_consistency`, none of which is certain.

    Raises:
        DataError: some are; names them all.
    """
    findings = check_consistency(dataset)
    if certain := [finding for finding in findings if finding.certain]:
        raise DataError(f"{dataset.annotations_file}: {summary(certain)}")
    return findings


def check_consistency(dataset: CocoDataset) -> list[Finding]:
    """Where boxes, masks, areas and images contradict each other; no file is opened."""
    findings = list(dataset.findings)
    annotations = dataset.annotations.of_images([image.image_id for image in dataset.images])
    if not annotations:
        return findings
    findings += repeated_objects(annotations)
    objects = measure(annotations, dataset.images)
    individuals = ~annotations.is_crowd
    in_unit = _polygons_in_unit(objects)
    why = _explained(objects, in_unit)
    for kind, advice in _ADVICE.items():
        found = in_unit if kind == _POLYGONS_IN_UNIT else why == kind
        among = individuals & objects.has_mask if "polygon" in kind else individuals
        findings += _finding(objects, kind, found, among, advice)
    unexplained = individuals & ~in_unit & (why == "")
    if unexplained.sum() > _MOST * individuals.sum():  # else the rest is wrong in the same way
        findings += _placement(objects, unexplained)
    trusted = np.where(objects.has_mask, ~in_unit & (why != readings.RESIZED), why == "")
    return findings + _areas(objects, trusted & individuals)


def _polygons_in_unit(objects: Objects) -> Rows:
    masked = objects.has_mask & ~objects.annotations.is_crowd & (objects.sides >= 8).all(1)
    reach = np.abs(np.where(masked[:, None], objects.extents_xyxy, np.inf)).max(1)
    return np.asarray(reach <= _UNIT)


def _explained(objects: Objects, in_unit: Rows) -> np.ndarray:
    """Why a box does not fit its mask or its image, object by object; empty where it does."""
    written, extents, sides = objects.annotations.boxes_xywh, objects.extents_xyxy, objects.sides
    why = np.full(len(written), "", object)
    individuals = ~objects.annotations.is_crowd
    plain = individuals & (written[:, 2:] > 0).all(1)
    large = (sides >= 8).all(1)
    why[plain & large & (np.abs(written).max(1) <= _UNIT)] = "boxes in 0..1"
    masked = objects.has_mask & individuals
    compared = np.flatnonzero(masked & plain & ~in_unit & (why == ""))
    apart = compared[~readings.agree(objects.boxes_xyxy[compared], extents[compared])]
    why[apart] = readings.explain(written[apart], extents[apart], sides[apart])

    for rows, names in (
        (plain & ~objects.has_mask & (why == ""), list(readings.READINGS)),
        (plain & masked & ~in_unit & (why == ""), ["boxes in (y, x) order"]),
    ):
        outside = readings.out_of_frame(objects.boxes_xyxy[rows], sides[rows])
        if rows.sum() < _MIN_OBJECTS or outside.mean() < _SOME_OUTSIDE:
            continue
        name = readings.reading_in_frame(written[rows], sides[rows], names)
        if name is not None:
            why[rows] = name if len(names) > 1 else readings.BOTH_SWAPPED
    return why


def _placement(objects: Objects, rows: Rows) -> list[Finding]:
    """Boxes without area, outside of their images, or all of them in one corner."""
    boxes, sides = objects.boxes_xyxy, objects.sides
    no_size = rows & (objects.annotations.boxes_xywh[:, 2:] <= 0).any(1)
    rows = rows & ~no_size
    outside = rows & ((boxes[:, 2:] <= 0) | (boxes[:, :2] >= sides)).any(1)
    reaching = rows & readings.out_of_frame(boxes, sides)
    lost = "nothing can be found there, and each lowers AP; remove them"
    findings = _finding(objects, "boxes of no width or height", no_size, rows | no_size, lost)
    findings += _finding(objects, "boxes wholly outside of their images", outside, rows, lost)
    if reaching.sum() > _MANY_OUTSIDE * rows.sum():
        advice = "were they made for other or larger images?"
        findings += _finding(
            objects, "boxes that reach out of their images", reaching, rows, advice
        )
    if rows.sum() >= _MIN_OBJECTS and not reaching.any():
        far_x, far_y = (boxes[rows, 2:] / sides[rows]).max(0)
        near_x, near_y = (boxes[rows, :2] / sides[rows]).min(0)
        cornered = max(far_x, far_y) < _UPPER_LEFT
        if cornered and near_x < (1 - far_x) / 2 and near_y < (1 - far_y) / 2:
            kind = "boxes in the upper left of their images only"
            advice = (
                f"they end at {far_x:.0%} of the width and {far_y:.0%} of the height; were they "
                "made for smaller images?"
            )
            findings += _finding(objects, kind, rows, rows, advice, certain=False)
    return findings


def _areas(objects: Objects, trusted: Rows) -> list[Finding]:
    """Areas that are negative, all the same, or far from the mask's, or without one the box's.

    Args:
        trusted: objects whose mask, or box without a mask, is known to be in pixels.
    """
    areas, boxes = objects.annotations.areas, objects.annotations.boxes_xywh[:, 2:].clip(0).prod(1)
    advice = "remove `area` from the file, and mfd computes it"
    negative = areas < 0
    signed = f"signed polygon areas; COCO's code ignores such objects; {advice}"
    everything = np.ones(len(areas), bool)
    findings = _finding(objects, "negative areas", negative, everything, signed, certain=True)

    expected = np.where(objects.has_mask, objects.mask_areas, boxes)
    least = np.where(objects.has_mask, expected / _AREA_RATIO, 0) - _AREA_SLACK
    most = expected * _AREA_RATIO + _AREA_SLACK
    trusted = trusted & ~negative
    far = trusted & ((areas < least) | (areas > most))
    kind = "areas far from those of masks and boxes"
    sorts = f"AP of small, medium and large objects is sorted by it; {advice}"
    if trusted.sum() >= _MIN_OBJECTS and np.ptp(areas[trusted]) == 0 < np.ptp(expected[trusted]):
        kind, far = f"areas that are all {areas[trusted][0]:g}", trusted
    elif far.any() and (np.abs(areas - boxes) <= 0.02 * boxes)[far].mean() > _MOST:
        kind = "areas that are those of the boxes"
    return findings + _finding(objects, kind, far, trusted, sorts, certain=False)


def _finding(
    objects: Objects,
    kind: str,
    found: Rows,
    among: Rows,
    advice: str,
    certain: bool | None = None,
) -> list[Finding]:
    """The rows as a finding, certain by default if they are most of `among`; or nothing."""
    rows = np.flatnonzero(found)
    if not len(rows):
        return []
    total = int(among.sum())
    examples = tuple(map(objects.annotations.name, rows[:MAX_NAMED]))
    if certain is None:
        certain = len(rows) >= _MOST * total
    return [Finding(kind, len(rows), total, examples, certain, advice)]
