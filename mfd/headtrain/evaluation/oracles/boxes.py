"""The oracle of the head's input: ground-truth boxes in the place of predicted ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
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
    candidates: Sequence[Candidates],
    boxes: Sequence[Entry],
    masks: Sequence[Entry],
) -> Iterator[Entry]:
    """The head's masks where every box that is on an object is that object's, exactly.

    Query, category and class score stay; the head estimates quality again. Boxes that are on no
    object, or in a crowd region (see `owners`), keep the masks they have.

    Args:
        batch: of `collate_candidates`, on the head's device.
        candidates: of the batch's images.
        boxes: of all of them, images one after the other.
        masks: of the head, likewise.
    """
    rest = iter(boxes)
    objects = []
    for chosen in candidates:
        of_image = [next(rest) for _ in chosen.scores]
        found = owners(truth, of_image, objects_of(truth, chosen.image_id))
        objects.append([None if each is None or each["iscrowd"] else each for each in found])
    pairs = [
        torch.tensor([at for at, o in enumerate(each) if o], dtype=torch.long) for each in objects
    ]
    at_objects = _moved(batch, candidates, objects, pairs)
    changed: Iterator[Entry] = iter(())
    if len(at_objects.boxes):
        parts = [_part(chosen, some) for chosen, some in zip(candidates, pairs, strict=True)]
        changed = chain.from_iterable(map(mask_entries, predict_masks(head, at_objects, parts)))
    for mask, owner in zip(masks, chain.from_iterable(objects), strict=True):
        yield mask if owner is None else next(changed)


def _part(chosen: Candidates, pairs: Tensor) -> Candidates:
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
    candidates: Sequence[Candidates],
    objects: Sequence[Sequence[Mapping[str, Any] | None]],
    pairs: Sequence[Tensor],
) -> FeatureBatch:
    """The batch with one row for each of the pairs, its box the object's."""
    rows, boxes, first = [], [], 0
    for chosen, owned, some in zip(candidates, objects, pairs, strict=True):
        rows.append(first + chosen.query_row[some])
        first += len(chosen.queries)
        found = [each["bbox"] for each in owned if each]
        boxes.append(_in_input(np.array(found, float).reshape(-1, 4), chosen))
    index = torch.cat(rows).to(batch.boxes.device)
    return replace(
        batch,
        queries=batch.queries[index],
        boxes=torch.cat(boxes).to(batch.boxes),
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
