"""Which boxes of an image a head is trained on, and where exactly they lie at one step."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.sources.sampler import mixed
from mfd.headtrain.targets.image import ImageTargets
from mfd.headtrain.targets.objects import ImageObjects
from mfd.nn import cxcywh_to_xyxy, pairwise_iou, xyxy_to_cxcywh

FURTHER_IOU = 0.5
"""What a further query's box shares at least with its object. [ours, Mask R-CNN's]"""


@dataclass(frozen=True)
class TrainedBoxes:
    """The n boxes of an image that the head makes masks for.

    Attributes:
        query_index: whose features go with each box.
        object_index: the object whose mask is wanted.
        boxes_cxcywh: 0 and 1 are the edges of the detector's input.
    """

    query_index: Int64[np.ndarray, " n"]
    object_index: Int64[np.ndarray, " n"]
    boxes_cxcywh: Float64[np.ndarray, "n 4"]


def trained_boxes(
    boxes_cxcywh: Float[Tensor, "Q 4"], targets: ImageTargets, config: TrainConfig, step: int
) -> TrainedBoxes:
    """The matched queries' boxes, and those that the recipe adds, takes away and moves.

    Args:
        boxes_cxcywh: of the image's queries, as the detector predicted them.
        step: counted from 0; decides the jitter together with the recipe's seed and the object.
    """
    predicted = boxes_cxcywh.detach().cpu().double()
    kept = trained_pairs(targets, config)
    queries, objects = targets.query_index[kept], targets.object_index[kept]
    chosen_queries, chosen_objects, boxes = [queries], [objects], [predicted.numpy()[queries]]
    if config.ground_truth_boxes:
        chosen_queries.append(queries)
        chosen_objects.append(objects)
        boxes.append(xyxy_to_cxcywh(_seen_boxes(targets.objects)).numpy()[objects])
    if config.extra_queries:
        more, of_objects = _further_queries(predicted, targets, queries, config.extra_queries)
        chosen_queries.append(more)
        chosen_objects.append(of_objects)
        boxes.append(predicted.numpy()[more])
    found = TrainedBoxes(*map(np.concatenate, (chosen_queries, chosen_objects, boxes)))
    if not config.box_jitter:
        return found
    ids = targets.objects.annotation_ids[found.object_index]
    moved = jittered(found.boxes_cxcywh, ids, config.box_jitter, config.seed, step)
    return TrainedBoxes(found.query_index, found.object_index, moved)


def box_keys(
    annotation_ids: Int64[np.ndarray, " n"], seed: int, step: int
) -> Int64[np.ndarray, " n"]:
    """64 bits for each box of an image, by which its random numbers are drawn at a step.

    They belong to seed, step and object, and to the place of the box among those of the same
    object: batches, processes and other objects change nothing.

    Args:
        annotation_ids: of each box's object.
    """
    place = np.empty_like(annotation_ids)
    for annotation_id in np.unique(annotation_ids):
        rows = np.flatnonzero(annotation_ids == annotation_id)
        place[rows] = np.arange(len(rows))
    of_step = np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)
    of_object = mixed(annotation_ids.astype(np.uint64)) + of_step
    return mixed(mixed(of_object) + place.astype(np.uint64)).view(np.int64)


def trained_pairs(targets: ImageTargets, config: TrainConfig) -> Bool[np.ndarray, " p"]:
    """Which of an image's pairs are trained."""
    return targets.pair_iou >= config.min_pair_iou


def jittered(
    boxes_cxcywh: Float64[np.ndarray, "n 4"],
    annotation_ids: Int64[np.ndarray, " n"],
    jitter: float,
    seed: int,
    step: int,
) -> Float64[np.ndarray, "n 4"]:
    """The boxes, their centres moved and their sides changed by up to a share `jitter` of the side.

    What is drawn belongs to seed, step and object, and to the place of the box among those of the
    same object: threads, batches and other objects change nothing.
    """
    draws = np.empty_like(boxes_cxcywh)
    for annotation_id in dict.fromkeys(annotation_ids.tolist()):
        rows = np.flatnonzero(annotation_ids == annotation_id)
        random = np.random.default_rng((seed, step, annotation_id % 2**64))  # ids may be negative
        draws[rows] = random.uniform(-jitter, jitter, (len(rows), 4))
    centres, sides = boxes_cxcywh[:, :2], boxes_cxcywh[:, 2:]
    return np.concatenate((centres + draws[:, :2] * sides, sides * (1 + draws[:, 2:])), 1)


def _further_queries(
    predicted: Float[Tensor, "Q 4"],
    targets: ImageTargets,
    taken: Int64[np.ndarray, " p"],
    count: int,
) -> tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]:
    """Up to `count` more queries for each object, those with the highest IoU, and the objects.

    A query goes to the object that its box shares most with; object by object, best first.
    """
    if not len(targets.objects):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    iou = pairwise_iou(cxcywh_to_xyxy(predicted), _seen_boxes(targets.objects)).numpy()
    iou[taken] = 0
    best, nearest = iou.max(1), iou.argmax(1)
    queries = []
    for index in range(len(targets.objects)):
        own = np.flatnonzero((nearest == index) & (best >= FURTHER_IOU))
        queries.append(own[np.argsort(-best[own], kind="stable")][:count])
    found = np.concatenate(queries)
    return found, nearest[found]


def _seen_boxes(objects: ImageObjects) -> Float[Tensor, "n 4"]:
    """Corners of the objects' boxes as the detector would predict them."""
    return objects.view.to_view(torch.from_numpy(objects.boxes_xyxy))
