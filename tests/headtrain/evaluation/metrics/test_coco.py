"""AP of detections whose figures can be told by hand; the whole is compared in test_evaluate.py."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as mask_utils

from mfd.coco import Annotation, Annotations, CocoDataset, ImageEntry
from mfd.headtrain.evaluation.metrics import coco
from mfd.headtrain.evaluation.metrics.figures import Figures

SIZE_HW = (120, 171)


def average_precision(dataset: CocoDataset, entries: list[dict[str, Any]], kind: Any) -> Figures:
    return coco.average_precision(coco.ground_truth(dataset, kind), entries, kind)


def rle(x: int, y: int, width: int, height: int) -> dict[str, Any]:
    mask = np.zeros(SIZE_HW, np.uint8, order="F")
    mask[y : y + height, x : x + width] = 1
    return dict(mask_utils.encode(mask))


def annotation(number: int, box: tuple[int, int, int, int], **fields: Any) -> Annotation:
    values = {
        "annotation_id": number,
        "image_id": 7,
        "category_id": 3,
        "bbox_xywh": tuple(map(float, box)),
        "area": float(box[2] * box[3]),
        "iscrowd": False,
        "segmentation": rle(*box),
    }
    return Annotation(**{**values, **fields})


def dataset(*annotations: Annotation) -> CocoDataset:
    image = ImageEntry(7, "x.png", SIZE_HW)
    return CocoDataset(None, Path(), (image,), {3: "cat", 8: "dog"}, Annotations.of(annotations))


def detection(box: tuple[int, int, int, int], score: float, category_id: int = 3) -> dict[str, Any]:
    return {
        "image_id": 7,
        "category_id": category_id,
        "score": score,
        "bbox": list(map(float, box)),
        "segmentation": rle(*box),
    }


SMALL, LARGE = (5, 6, 20, 21), (60, 10, 100, 99)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_perfect_detections_have_ap_1_and_undefined_sizes_none(kind: Any) -> None:
    truth = dataset(annotation(0, SMALL), annotation(1, LARGE))

    found = average_precision(truth, [detection(SMALL, 0.8), detection(LARGE, 0.9)], kind)

    one = pytest.approx(1)
    assert found.overall == {
        "ap": one,
        "ap50": one,
        "ap75": one,
        "ap_small": one,
        "ap_medium": None,
        "ap_large": one,
    }
    assert found.per_category == {3: one, 8: None}
    assert found.ap == found.overall["ap"]


def test_thresholds_are_the_named_ones() -> None:
    truth = dataset(annotation(0, (0, 0, 100, 10)))

    found = average_precision(truth, [detection((0, 0, 77, 10), 0.9)], "bbox")  # IoU 0.77

    assert found.overall["ap50"] == found.overall["ap75"] == pytest.approx(1)
    assert found.ap == pytest.approx(6 / 10)  # .50, .55, .60, .65, .70 and .75
    below = average_precision(truth, [detection((0, 0, 72, 10), 0.9)], "bbox").overall
    assert (below["ap50"], below["ap75"]) == (pytest.approx(1), 0)
    apart = average_precision(truth, [detection((0, 0, 48, 10), 0.9)], "bbox").overall
    assert apart["ap50"] == 0


def test_curves_are_of_the_thresholds_and_recalls() -> None:
    truth = dataset(annotation(0, (0, 0, 100, 10)), annotation(1, (0, 50, 100, 10)))
    found = average_precision(
        truth, [detection((0, 0, 77, 10), 0.9), detection((0, 50, 52, 10), 0.8)], "bbox"
    )  # IoU 0.77 and 0.52
    assert found.curves["ap_by_iou"] == pytest.approx([1.0] + [51 / 101] * 5 + [0.0] * 4)
    assert found.curves["precision_50"] == pytest.approx([1.0] * 101)
    assert found.curves["precision_75"] == pytest.approx([1.0] * 51 + [0.0] * 50)
    assert np.mean(found.curves["ap_by_iou"]) == pytest.approx(found.ap)


def test_the_masks_and_not_the_boxes_are_compared_for_segm() -> None:
    truth = dataset(annotation(0, LARGE))
    half = {**detection(LARGE, 0.9), "segmentation": rle(60, 10, 60, 99)}

    assert average_precision(truth, [half], "bbox").ap == pytest.approx(1)
    assert average_precision(truth, [half], "segm").ap == pytest.approx(3 / 10)  # IoU 0.6


def test_detections_on_crowds_and_of_unknown_categories_cost_nothing() -> None:
    crowd = annotation(1, LARGE, iscrowd=True)
    truth = dataset(annotation(0, SMALL), crowd)
    on_crowd = [detection((70, 20, 30, 30), 0.99), detection((100, 20, 30, 30), 0.98)]
    unknown = detection(SMALL, 0.97, category_id=55)

    found = average_precision(truth, [*on_crowd, unknown, detection(SMALL, 0.5)], "segm")

    assert found.ap == pytest.approx(1)
    assert found.per_category.keys() == {3, 8}


def test_no_detections_have_ap_0_and_no_objects_have_none() -> None:
    assert average_precision(dataset(annotation(0, SMALL)), [], "segm").ap == 0
    nothing = average_precision(dataset(), [detection(SMALL, 0.9)], "segm")
    assert set(nothing.overall.values()) == {None}


@pytest.mark.parametrize("segmentation", [None, []])
@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_objects_without_a_segmentation_are_missed_unless_their_box_is_found(
    kind: Any, segmentation: Any
) -> None:
    truth = dataset(annotation(0, SMALL), annotation(1, LARGE, segmentation=segmentation))
    both = [detection(SMALL, 0.9), detection(LARGE, 0.8)]

    half = pytest.approx(51 / 101)  # of 101 recalls, 0 to 0.5 are reached
    assert average_precision(truth, both[:1], kind).ap == half
    assert average_precision(truth, both, kind).ap == (1 if kind == "bbox" else half)


def test_the_100_best_detections_of_an_image_and_category_count() -> None:
    truth = dataset(annotation(0, SMALL))
    wrong = [detection((60, 10, 30 + n, 40), 0.9 - n / 1000) for n in range(100)]
    right = detection(SMALL, 0.1)

    assert average_precision(truth, [*wrong[:99], right], "bbox").ap == pytest.approx(1 / 100)
    assert average_precision(truth, [*wrong, right], "bbox").ap == 0


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    average_precision(dataset(annotation(0, SMALL)), [], "bbox")

    assert capsys.readouterr() == ("", "")
