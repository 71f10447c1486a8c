"""The oracle of the head's input: ground-truth boxes in the place of predicted ones."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from pycocotools.coco import COCO
from torch import Tensor

from mfd.headtrain.evaluation.oracles.pairing import objects_of, owners
from mfd.headtrain.evaluation.results import Entry, mask_entries
from mfd.headtrain.head.batch import FeatureBatch
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.inference.masks import predict_masks
from mfd.headtrain.inference.select import Candidates
from mfd.images import map_boxes
from mfd.nn import xyxy_to_cxcywh


def true_boxes(
    truth: COCO,
    head: MaskHead,
    batch: FeatureBatch,
    chosen: Candidates,
    boxes: Sequence[Entry],
    masks: Sequence[Entry],
) -> Iterator[Entry]:
    """The head's masks of an image where every box that is on an object is that object's, exactly.

    Query, category and class score stay; the head estimates quality again. Boxes that are on no
    object, or in a crowd region (see `owners`), keep the masks they have.

    Args:
        batch: of `collate_candidates`, on the head's device.
        chosen: of the image.
        boxes: of the same.
        masks: of the head.
    """
    found = owners(truth, boxes, objects_of(truth, chosen.image_id))
    objects = [None if each is None or each["iscrowd"] else each for each in found]
    changed: Iterator[Entry] = iter(())
    if owned := [at for at, each in enumerate(objects) if each]:
        pairs = torch.tensor(owned)
        bboxes = np.array([each["bbox"] for each in objects if each], float)
        at_objects = _moved(batch, chosen, pairs, bboxes)
        (predicted,) = predict_masks(head, at_objects, [_part(chosen, pairs)])
        changed = mask_entries(predicted)
    for mask, owner in zip(masks, objects, strict=True):
        yield mask if owner is None else next(changed)


def _part(chosen: Candidates, pairs: Int[Tensor, " N"]) -> Candidates:
    """Some of the pairs, each with its query for itself: pairs of one query may differ in boxes."""
    return replace(
        chosen,
        boxes_xyxy=chosen.boxes_xyxy[pairs],
        scores=chosen.scores[pairs],
        columns=chosen.columns[pairs],
        category_ids=chosen.category_ids[pairs],
        queries=chosen.queries[chosen.query_row[pairs]],
        query_row=torch.arange(len(pairs)),
    )


def _moved(
    batch: FeatureBatch,
    chosen: Candidates,
    pairs: Int[Tensor, " N"],
    boxes_xywh: Float[np.ndarray, "N 4"],
) -> FeatureBatch:
    """The batch with one row for each of the pairs, its box the object's."""
    index = chosen.query_row[pairs].to(batch.boxes.device)
    return replace(
        batch,
        queries=batch.queries[index],
        boxes=_in_input(boxes_xywh, chosen).to(batch.boxes),
        labels=batch.labels[index],
        image_index=batch.image_index[index],
    )


def _in_input(boxes_xywh: Float[np.ndarray, "N 4"], chosen: Candidates) -> Float[Tensor, "N 4"]:
    """Boxes in pixels of the image file as (cx, cy, w, h) in parts of the detector's input."""
    corners = np.concatenate((boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]), 1)
    height, width = chosen.size_hw
    if chosen.placement is not None:
        corners = map_boxes(chosen.placement.matrix, corners)
        height, width = chosen.placement.input_hw
    return xyxy_to_cxcywh(torch.from_numpy(corners / [width, height, width, height]))
