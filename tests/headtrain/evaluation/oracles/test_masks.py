"""AP of rows whose value can be told by hand."""

from typing import Any

import pytest

from mfd.coco import CocoDataset
from mfd.headtrain.evaluation.metrics.coco import average_precision, ground_truth
from mfd.headtrain.evaluation.oracles.masks import true_classes, true_masks, true_ranking
from tests.headtrain.evaluation.metrics.test_coco import annotation, dataset, detection, rle

A, B, C = (0, 0, 50, 40), (0, 60, 100, 10), (60, 0, 40, 40)


def with_mask(box: tuple, mask: tuple, score: float, category_id: int = 3) -> dict[str, Any]:
    return {**detection(box, score, category_id), "segmentation": rle(*mask)}


def ap(truth_of: CocoDataset, row: Any, *detections: list) -> tuple[float | None, list]:
    truth = ground_truth(truth_of, "segm")
    entries = list(row(truth, *detections))
    return average_precision(truth, entries, "segm").ap, entries


def test_true_masks_are_cut_off_by_the_boxes() -> None:
    """The box misses 12 of 50 columns: IoU 0.76, above six thresholds."""
    found, (entry,) = ap(dataset(annotation(0, A)), true_masks, [detection((12, 0, 50, 40), 0.3)])
    assert found == pytest.approx(6 / 10)
    assert entry["segmentation"] == rle(12, 0, 38, 40)
    assert entry["score"] == 0.3


def test_true_masks_do_not_help_wrong_boxes_and_classes() -> None:
    """Of two objects one is found, and a false alarm has a better score: precision 1 / 2 up to
    recall 1 / 2, which is 51 of 101 steps."""
    boxes = [detection(C, 0.9), detection(A, 0.8), detection(B, 0.7, category_id=8)]
    found, entries = ap(dataset(annotation(0, A), annotation(1, B)), true_masks, boxes)
    assert found == pytest.approx(0.5 * 51 / 101)
    assert entries[0]["segmentation"] == rle(*C)  # filled


def test_true_masks_in_crowds_cost_nothing() -> None:
    crowd = annotation(1, (60, 0, 100, 100), iscrowd=True, segmentation=rle(60, 0, 50, 100))
    boxes = [detection(C, 0.9), detection(A, 0.8)]
    assert ap(dataset(annotation(0, A), crowd), true_masks, boxes)[0] == pytest.approx(1)


def test_true_classes_leave_the_masks_and_the_missed_objects() -> None:
    """A has IoU 1 with its mask, B 0.62 (three thresholds), C no box. A and C are of one category:
    recall 1 / 2, 51 of 101 steps. All classes are wrong, and there is a false alarm."""
    truth = dataset(annotation(0, A), annotation(1, B, category_id=8), annotation(2, C))
    found = [
        with_mask((100, 100, 20, 20), (100, 100, 20, 20), 0.9),
        with_mask(A, A, 0.8, category_id=8),
        with_mask(A, A, 0.1, category_id=3),
        with_mask(B, (0, 60, 62, 10), 0.3, category_id=3),
    ]
    qualities = (0.9, 0.8, 0.7, 0.6)
    masks = [{**m, "score": m["score"] * q} for m, q in zip(found, qualities, strict=True)]
    value, entries = ap(truth, true_classes, found, masks)
    assert value == pytest.approx((51 / 101 + 3 / 10) / 2)
    scores = {entry["category_id"]: entry["score"] for entry in entries}
    assert scores == {3: pytest.approx(0.7), 8: pytest.approx(0.6)}


def test_true_classes_take_the_masks_of_their_own_image() -> None:
    one = dataset(annotation(0, A))
    image = one.images[0]
    both = CocoDataset(
        None,
        one.images_dir,
        (type(image)(5, "y.png", image.size_hw), image),
        one.categories,
        one.annotations,
    )
    found = [{**with_mask(A, C, 0.9), "image_id": 5}, with_mask(A, A, 0.4)]
    value, entries = ap(both, true_classes, found, found)
    assert (value, len(entries)) == (pytest.approx(1), 1)


def test_true_ranking_puts_duplicates_and_false_alarms_last() -> None:
    """The best mask has IoU 0.92, above nine thresholds; it came last."""
    found = [
        with_mask(A, C, 0.9),
        with_mask(A, (0, 0, 30, 40), 0.8),  # IoU 0.6
        with_mask(A, (0, 0, 46, 40), 0.1),
    ]
    truth = dataset(annotation(0, A))
    value, entries = ap(truth, true_ranking, found)
    assert value == pytest.approx(9 / 10)
    assert [entry["score"] for entry in entries] == [0.0, 0.0, pytest.approx(0.92)]
    before = average_precision(ground_truth(truth, "segm"), found, "segm").ap
    assert before == pytest.approx((3 * 1 / 2 + 6 * 1 / 3) / 10)


def test_true_ranking_is_within_categories() -> None:
    found = [with_mask(A, A, 0.9, category_id=8), with_mask(A, (0, 0, 46, 40), 0.1)]
    truth = dataset(annotation(0, A))
    assert ap(truth, true_ranking, found)[0] == pytest.approx(9 / 10)
    _, entries = ap(truth.without_categories(), true_ranking, found)
    assert [entry["score"] for entry in entries] == [pytest.approx(1), 0.0]


def test_true_ranking_of_an_image_without_objects_is_zero() -> None:
    _, entries = ap(dataset(), true_ranking, [with_mask(A, A, 0.9)])
    assert [entry["score"] for entry in entries] == [0.0]
