"""Which object each box of an image is on, and which query has found each object."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from scipy.optimize import linear_sum_assignment

from mfd.coco import ANY_CATEGORY
from mfd.headtrain.evaluation.results import Entry

MATCH = 0.5
"""IoU from which COCO's AP takes a detection for an object."""
NEAR = 0.1
"""IoU from which TIDE (Bolya et al. 2020) takes a box for an object's, badly placed."""


def objects_of(truth: COCO, image_id: int) -> list[Mapping[str, Any]]:
    """The annotations of an image as COCO has them, crowd regions among them."""
    return truth.imgToAnns.get(image_id, [])


def is_of(truth: COCO, entry: Entry, found: Mapping[str, Any]) -> bool:
    """Whether an object has the category of a detection; all have where none are told apart."""
    return ANY_CATEGORY in truth.cats or found["category_id"] == entry["category_id"]


def owners(
    truth: COCO, boxes: Sequence[Entry], objects: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any] | None]:
    """For each box of an image the object of its category that it is on, or None.

    Boxes and objects are paired as by COCO at an IoU of 0.5: the best score first, each box with
    the free object that it overlaps most. A box that is left over belongs to the crowd region
    that holds half of it, or else to the object it overlaps most, from an IoU of 0.1 on.

    Args:
        boxes: best first.
    """
    overlaps = box_overlaps(boxes, objects)
    crowd = np.array([found["iscrowd"] for found in objects], bool)
    free = ~crowd
    paired: list[Mapping[str, Any] | None] = []
    for box, row in zip(boxes, overlaps, strict=True):
        row = row * np.array([is_of(truth, box, found) for found in objects], bool)
        place = None
        if (row * free).max(initial=0) >= MATCH:
            place = int((row * free).argmax())
            free[place] = False
        elif (row * crowd).max(initial=0) >= MATCH:
            place = int((row * crowd).argmax())
        elif (row * ~crowd).max(initial=0) >= NEAR:
            place = int((row * ~crowd).argmax())
        paired.append(None if place is None else objects[place])
    return paired


def finders(
    boxes: Sequence[Entry], objects: Sequence[Mapping[str, Any]]
) -> list[tuple[int, Mapping[str, Any]]]:
    """For each object that is found the place of the box that finds it, whatever their categories.

    Boxes and objects are paired one to one so that the sum of their IoU is largest; an object is
    found by an IoU of at least 0.5. Crowd regions are not objects.
    """
    alone = [found for found in objects if not found["iscrowd"]]
    overlaps = box_overlaps(boxes, alone)
    overlaps = np.where(overlaps >= MATCH, overlaps, 0.0)
    rows, columns = linear_sum_assignment(overlaps, maximize=True)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(row, alone[column]) for row, column in pairs if overlaps[row, column] > 0]


def box_overlaps(
    boxes: Sequence[Entry], objects: Sequence[Mapping[str, Any]]
) -> Float[np.ndarray, "D A"]:
    """IoU of boxes and objects' boxes; of crowd regions the share of the box inside."""
    if not boxes or not objects:
        return np.zeros((len(boxes), len(objects)))
    crowd = [int(found["iscrowd"]) for found in objects]
    ours, theirs = (np.array([each["bbox"] for each in some], float) for some in (boxes, objects))
    return np.asarray(mask_utils.iou(ours, theirs, crowd))
