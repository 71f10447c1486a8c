from dataclasses import replace

import numpy as np
import pytest
import torch

from mfd.coco import Annotation, ImageEntry
from mfd.headtrain.sources.boxes import box_keys, jittered, trained_boxes
from mfd.headtrain.targets.image import ImageTargets, image_targets
from mfd.headtrain.targets.view_map import ViewMap
from mfd.images import Placement
from mfd.nn import xyxy_to_cxcywh
from tests.builders.runs import SPEC, TRAIN

IMAGE = ImageEntry(5, "a.jpg", (100, 100))
SQUARES = ((10, 10, 30, 30), (60, 50, 90, 80))


def square(number: int, box: tuple[int, int, int, int]) -> Annotation:
    left, top, right, bottom = box
    corners = [[left, top, right, top, right, bottom, left, bottom]]
    wide, high = float(right - left), float(bottom - top)
    return Annotation(number, 5, 90, (left, top, wide, high), wide * high, False, corners)


ANNOTATIONS = [square(7 + n, box) for n, box in enumerate(SQUARES)]
BOXES_XYXY = (
    (10, 10, 30, 30),  # 0: the first object's own
    (62, 50, 92, 80),  # 1: the second one's, IoU 28 / 32
    (10, 10, 30, 26),  # 2: IoU 0.8 with the first
    (10, 10, 30, 28),  # 3: 0.9
    (10, 10, 30, 19),  # 4: 0.45, too little
    (60, 50, 90, 70),  # 5: 2 / 3 with the second
    (10, 10, 30, 22),  # 6: 0.6 with the first
)
BOXES = xyxy_to_cxcywh(torch.tensor(BOXES_XYXY) / 100)


def matched(view: ViewMap | None = None) -> ImageTargets:
    """The two objects, matched with the first two queries."""
    logits = torch.zeros(len(BOXES), 3)
    logits[:2, 2] = 9
    targets, _ = image_targets(logits, BOXES, ANNOTATIONS, IMAGE, SPEC, view)
    return targets


def test_matched_queries_alone_are_trained_on_their_boxes_by_default() -> None:
    found = trained_boxes(BOXES, matched(), TRAIN, step=3)
    assert found.query_index.tolist() == found.object_index.tolist() == [0, 1]
    assert np.array_equal(found.boxes_cxcywh, BOXES[:2].double().numpy())


def test_pairs_below_an_iou_are_left_out() -> None:
    for least, expected in ((0.87, [0, 1]), (0.88, [0]), (1.0, [])):
        found = trained_boxes(BOXES, matched(), replace(TRAIN, min_pair_iou=least), step=0)
        assert found.query_index.tolist() == pytest.approx(expected)


@pytest.mark.parametrize(("count", "expected"), [(1, [3, 5]), (2, [3, 2, 5]), (9, [3, 2, 6, 5])])
def test_further_queries_are_those_of_highest_iou(count: int, expected: list[int]) -> None:
    found = trained_boxes(BOXES, matched(), replace(TRAIN, extra_queries=count), step=0)
    assert found.query_index.tolist() == [0, 1, *expected]
    assert found.object_index.tolist() == [0, 1, *(int(query == 5) for query in expected)]
    assert np.array_equal(found.boxes_cxcywh, BOXES.double().numpy()[found.query_index])


def test_a_query_left_out_for_its_own_object_may_serve_another() -> None:
    """The second object has no query of its own; the first one's neighbours are taken."""
    far = BOXES.clone()
    far[1], far[5] = BOXES[6], BOXES[4]
    logits = torch.zeros(len(BOXES), 3)
    logits[:2, 2] = 9
    targets, _ = image_targets(logits, far, ANNOTATIONS, IMAGE, SPEC)
    assert targets.pair_iou[1] == 0
    config = replace(TRAIN, min_pair_iou=0.1, extra_queries=9)
    found = trained_boxes(far, targets, config, step=0)
    assert found.query_index.tolist() == [0, 3, 2, 1, 6]
    assert found.object_index.tolist() == [0] * 5


PLACEMENTS = (
    None,
    Placement((100, 100), True, (100, 100), (0, 0, 100, 100), (100, 100), (100, 100)),
    Placement((100, 100), False, (200, 150), (15, 20, 120, 140), (140, 120), (160, 130)),
)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_ground_truth_boxes_are_filled_by_objects_that_fill_their_boxes(
    placement: Placement | None,
) -> None:
    view = None if placement is None else ViewMap.of(placement)
    targets = matched(view)
    found = trained_boxes(BOXES, targets, replace(TRAIN, ground_truth_boxes=True), step=0)
    pairs = len(targets.query_index)
    assert found.query_index.tolist() == [*targets.query_index, *targets.query_index]
    assert found.object_index.tolist() == [*targets.object_index, *targets.object_index]
    centres, sizes = np.split(found.boxes_cxcywh[pairs:], 2, 1)
    corners = np.concatenate((centres - sizes / 2, centres + sizes / 2), 1)
    crops, ratios = targets.objects.crops(found.object_index[pairs:], corners, 5)
    assert (crops == 255).all()
    assert ratios == pytest.approx(1.0)


def test_jitter_moves_and_resizes_by_no_more_than_its_share() -> None:
    boxes = np.tile([0.5, 0.4, 0.2, 0.1], (4000, 1))
    moved = jittered(boxes, np.arange(4000), 0.1, seed=0, step=0)
    change = (moved - boxes) / [0.2, 0.1, 0.2, 0.1]
    assert abs(change).max() <= 0.1 + 1e-12
    assert (abs(change).max(0) > 0.099).all()
    assert abs(change.mean(0)).max() < 4 * 0.1 / np.sqrt(3 * 4000)  # four standard errors
    correlation = np.corrcoef(change.T) - np.eye(4)
    assert abs(correlation).max() < 4 / np.sqrt(4000)


def test_jitter_belongs_to_seed_step_and_object_alone() -> None:
    boxes = np.random.default_rng(0).uniform(0.2, 0.4, (6, 4))
    ids = np.array([5, 9, 5, -3, 9, 5])
    together = jittered(boxes, ids, 0.2, seed=1, step=7)
    order = [3, 0, 1, 2, 4, 5]  # of the boxes of one object it stays
    assert np.array_equal(jittered(boxes[order], ids[order], 0.2, 1, 7), together[order])
    for one in (5, 9, -3):
        own = ids == one
        assert np.array_equal(jittered(boxes[own], ids[own], 0.2, 1, 7), together[own])
    assert not np.isclose(together[[0, 2]] / boxes[[0, 2]], together[5] / boxes[5]).any()
    for seed, step in ((2, 7), (1, 8)):
        assert (jittered(boxes, ids, 0.2, seed, step) != together).all()


def test_images_without_objects_have_no_boxes() -> None:
    targets, _ = image_targets(torch.zeros(7, 3), BOXES, [], IMAGE, SPEC)
    every = replace(TRAIN, extra_queries=2, ground_truth_boxes=True, box_jitter=0.1)
    assert trained_boxes(BOXES, targets, every, step=0).boxes_cxcywh.shape == (0, 4)


def test_keys_of_boxes_belong_to_the_object_and_the_place_among_its_boxes() -> None:
    ids = np.array([8, -5, 8, 2**40, 8])
    keys = box_keys(ids, 0, 1)
    assert box_keys(ids[[0, 2, 4]], 0, 1).tolist() == keys[[0, 2, 4]].tolist()
    assert box_keys(ids[[3, 1, 0]], 0, 1).tolist() == keys[[3, 1, 0]].tolist()
    assert box_keys(ids[:0], 0, 1).tolist() == []
    drawn = {key for at in ((0, 1), (0, 2), (1, 1)) for key in box_keys(ids, *at).tolist()}
    assert len(drawn) == 15
