"""Oracles that need no further pass of the head: true masks, true classes, true ranking."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO

from mfd.headtrain.evaluation.oracles.pairing import finders, is_of, objects_of, owners
from mfd.headtrain.evaluation.results import Entry
from mfd.headtrain.inference.paste import Rle, fill_box


def true_masks(truth: COCO, boxes: Sequence[Entry]) -> Iterator[Entry]:
    """The ground-truth mask of the object that each box is on, as far as it lies in the box.

    No head can do better on these boxes and class scores, which are kept. Boxes that are on no
    object (see `owners`) are filled.

    Args:
        boxes: of the detector, images one after the other, the best of an image first.
    """
    for image_id, of_image in groupby(boxes, key=lambda entry: entry["image_id"]):
        found = list(of_image)
        image = truth.imgs[image_id]
        filled: dict[tuple[float, ...], Rle] = {}  # a query's categories share its box
        for entry, owner in zip(
            found, owners(truth, found, objects_of(truth, image_id)), strict=True
        ):
            left, top, width, height = box = tuple(entry["bbox"])
            if box not in filled:
                corners = torch.tensor([left, top, left + width, top + height])
                filled[box] = fill_box(corners, (image["height"], image["width"]))
            mask = filled[box]
            if owner is not None:
                mask = mask_utils.merge([mask, owner["segmentation"]], intersect=True)
            yield _masked(entry, entry["score"], mask)


def true_classes(truth: COCO, boxes: Sequence[Entry], masks: Sequence[Entry]) -> Iterator[Entry]:
    """One mask for each object that a query's box finds, with its category and a class score of 1.

    Its score is the head's quality alone. Nothing else is detected: what is missing to an AP of 1
    are objects without a box (see `finders`), and the masks.

    Args:
        boxes: of the detector, images one after the other.
        masks: of the head, for the same queries and categories in the same order.
    """
    pairs = zip(boxes, masks, strict=True)
    for image_id, of_image in groupby(pairs, key=lambda pair: pair[0]["image_id"]):
        queries: dict[tuple[float, ...], list[tuple[Entry, Entry]]] = {}
        for box, mask in of_image:
            queries.setdefault(tuple(box["bbox"]), []).append((box, mask))
        found = list(queries.values())
        for row, owner in finders([each[0][0] for each in found], objects_of(truth, image_id)):
            named = [pair for pair in found[row] if is_of(truth, pair[0], owner)]
            box, mask = (named or found[row])[0]
            quality = mask["score"] / box["score"] if box["score"] else 0.0
            as_owner = {**mask, "category_id": owner["category_id"]}
            yield _masked(as_owner, quality, mask["segmentation"])


def true_ranking(truth: COCO, masks: Sequence[Entry]) -> Iterator[Entry]:
    """The masks with their true IoU as score, 0 for those that are on no object of their own.

    Masks and objects of a category are paired one to one, the largest IoU first, so that
    duplicates and false alarms come last at every threshold: no ranking has a higher AP.

    Args:
        masks: images one after the other.
    """
    for image_id, of_image in groupby(masks, key=lambda entry: entry["image_id"]):
        found = list(of_image)
        alone = [each for each in objects_of(truth, image_id) if not each["iscrowd"]]
        for entry, score in zip(found, _own_iou(truth, found, alone), strict=True):
            yield _masked(entry, float(score), entry["segmentation"])


def _own_iou(
    truth: COCO, masks: Sequence[Entry], objects: Sequence[Mapping[str, Any]]
) -> Float[np.ndarray, " D"]:
    """IoU of each mask with the object it is paired with."""
    own = np.zeros(len(masks))
    if not objects:
        return own
    same = np.array([[is_of(truth, entry, each) for each in objects] for entry in masks])
    rles, theirs = ([each["segmentation"] for each in some] for some in (masks, objects))
    overlaps = np.asarray(mask_utils.iou(rles, theirs, [0] * len(objects))) * same
    while overlaps.max() > 0:
        row, column = np.unravel_index(overlaps.argmax(), overlaps.shape)
        own[row] = overlaps[row, column]
        overlaps[row], overlaps[:, column] = 0, 0
    return own


def _masked(entry: Entry, score: float, mask: Rle) -> Entry:
    return {
        "image_id": entry["image_id"],
        "category_id": entry["category_id"],
        "score": score,
        "segmentation": mask,
    }
