"""What is right and wrong with the detections on an image.

Errors are told apart as by TIDE (Bolya et al. 2020), with thresholds of 0.5 and 0.1 on the IoU of
masks; a badly placed detection is the head's fault where its box fits, and the detector's where it
does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float
from pycocotools import mask as mask_utils

from mfd.coco import Annotation, encode_segmentation
from mfd.report.results import Detection

_MATCH, _NEAR = 0.5, 0.1


class Verdict(StrEnum):
    """What a detection is."""

    CORRECT = "correct"
    POOR_MASK = "poor mask"
    POOR_BOX = "poor box"
    WRONG_CLASS = "wrong class"
    DUPLICATE = "duplicate"
    BACKGROUND = "background"
    IGNORED = "crowd"


@dataclass(frozen=True)
class Judged:
    """A detection, what it is, and the object it belongs to.

    Attributes:
        place: of the object of its category that it covers best, among the image's; None if there
            is none.
        iou: of its mask with that object's; 0 without one.
        box_iou: likewise of the boxes.
    """

    detection: Detection
    verdict: Verdict
    place: int | None
    iou: float
    box_iou: float


@dataclass(frozen=True)
class JudgedImage:
    """The detections of an image and its objects.

    Attributes:
        detections: best first.
        objects: without crowd regions.
        found: whether each object is matched by a correct detection.
        missed: whether nothing came near it: no detection, and none that is only badly placed or
            named.
        named: category that the detector's best box over each object has, or None.
    """

    image_id: int
    detections: tuple[Judged, ...]
    objects: tuple[Annotation, ...]
    found: tuple[bool, ...]
    missed: tuple[bool, ...]
    named: tuple[int | None, ...]

    @property
    def quality(self) -> float:
        """Panoptic quality over all objects: summed IoU of matches over matches and half of errors.

        1 if there is nothing, found or annotated.
        """
        matched = [each.iou for each in self.detections if each.verdict is Verdict.CORRECT]
        wrong = sum(
            each.verdict not in (Verdict.CORRECT, Verdict.IGNORED) for each in self.detections
        )
        unmatched = len(self.objects) - len(matched)
        weight = len(matched) + (wrong + unmatched) / 2
        return sum(matched) / weight if weight else 1.0


def judge_image(
    image_id: int,
    size_hw: tuple[int, int],
    detections: Sequence[Detection],
    annotations: Sequence[Annotation],
) -> JudgedImage:
    """Match the detections to the objects, the best first, and name what is wrong with the rest.

    Args:
        size_hw: of the image, pixels.
        detections: best first.
        annotations: of the image, crowd regions among them.
    """
    objects = [each for each in annotations if not each.iscrowd]
    crowds = [each for each in annotations if each.iscrowd]
    masks, boxes = _overlaps(detections, objects, size_hw)
    in_crowd, _ = _overlaps(detections, crowds, size_hw)
    same = np.array(
        [[d.category_id == a.category_id for a in objects] for d in detections], bool
    ).reshape(masks.shape)
    taken = np.zeros(len(objects), bool)
    touched = np.zeros(len(objects), bool)
    judged = []
    for row, detection in enumerate(detections):
        own, other = masks[row] * same[row], masks[row] * ~same[row]
        free = own * ~taken
        place = _best(free) if free.max(initial=0) >= _MATCH else _best(own)
        iou, box_iou = (0.0, 0.0) if place is None else (masks[row, place], boxes[row, place])
        verdict = _verdict(
            free.max(initial=0),
            own.max(initial=0),
            other.max(initial=0),
            box_iou,
            in_crowd[row].max(initial=0),
        )
        if verdict is Verdict.CORRECT:
            taken[place] = True
        if verdict in (Verdict.POOR_MASK, Verdict.POOR_BOX):
            touched[place] = True
        if verdict is Verdict.WRONG_CLASS:
            touched[_best(other)] = True
        judged.append(Judged(detection, verdict, place, float(iou), float(box_iou)))
    return JudgedImage(
        image_id,
        tuple(judged),
        tuple(objects),
        tuple(taken.tolist()),
        tuple((~taken & ~touched).tolist()),
        tuple(_named(detections, boxes)),
    )


def _verdict(free: float, own: float, other: float, box: float, in_crowd: float) -> Verdict:
    """By the largest overlap with a free object of the category, any of it, and others."""
    if free >= _MATCH:
        return Verdict.CORRECT
    if in_crowd >= _MATCH:
        return Verdict.IGNORED
    if own >= _MATCH:
        return Verdict.DUPLICATE
    if other >= _MATCH:
        return Verdict.WRONG_CLASS
    if own >= _NEAR:
        return Verdict.POOR_MASK if box >= _MATCH else Verdict.POOR_BOX
    return Verdict.BACKGROUND


def _named(detections: Sequence[Detection], boxes: Float[np.ndarray, "D A"]) -> list[int | None]:
    """The category of the best detection whose box covers each object, whatever its mask."""
    return [
        next(
            (detections[row].category_id for row in np.flatnonzero(column >= _MATCH).tolist()), None
        )
        for column in boxes.T
    ]


def _overlaps(
    detections: Sequence[Detection], annotations: Sequence[Annotation], size_hw: tuple[int, int]
) -> tuple[Float[np.ndarray, "D A"], Float[np.ndarray, "D A"]]:
    """IoU of the masks and of the boxes; of crowd regions the share of the detection inside."""
    shape = (len(detections), len(annotations))
    if 0 in shape:
        return np.zeros(shape), np.zeros(shape)
    crowd = [int(each.iscrowd) for each in annotations]
    truth = [encode_segmentation(each.segmentation or [], size_hw) for each in annotations]
    masks = mask_utils.iou([d.rle for d in detections], truth, crowd)
    boxes = mask_utils.iou(
        np.array([d.bbox for d in detections], float),
        np.array([each.bbox_xywh for each in annotations], float),
        crowd,
    )
    return np.asarray(masks).reshape(shape), np.asarray(boxes).reshape(shape)


def _best(overlaps: Float[np.ndarray, " A"]) -> int | None:
    """The place of the largest overlap; None if nothing overlaps."""
    return int(overlaps.argmax()) if overlaps.max(initial=0) > 0 else None
