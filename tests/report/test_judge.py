"""What is wrong with detections, on squares whose overlaps are known."""

from dataclasses import replace

import numpy as np
import pytest
from pycocotools import mask as mask_utils

from mfd.coco import Annotation
from mfd.report.judge import JudgedImage, Verdict, judge_image
from mfd.report.results import Detection

SIZE = (60, 80)


def square(left: int, top: int, side: int) -> dict[str, object]:
    mask = np.zeros(SIZE, np.uint8)
    mask[top : top + side, left : left + side] = 1
    return mask_utils.encode(np.asfortranarray(mask))


def annotated(left: int, top: int, side: int, category: int = 1, crowd: bool = False) -> Annotation:
    bbox = (float(left), float(top), float(side), float(side))
    return Annotation(1, 7, category, bbox, side * side, crowd, square(left, top, side))


def detected(
    left: int, top: int, side: int, category: int = 1, score: float = 0.9, box_side: int = 0
) -> Detection:
    """A square; `box_side` gives it a box of another size than its mask."""
    bbox = (float(left), float(top), float(box_side or side), float(box_side or side))
    return Detection(category, score, 0.5, bbox, square(left, top, side))


def verdicts(image: JudgedImage) -> list[Verdict]:
    return [each.verdict for each in image.detections]


@pytest.mark.parametrize(
    ("detection", "expected"),
    [
        (detected(10, 10, 20), Verdict.CORRECT),
        (detected(10, 10, 15), Verdict.CORRECT),  # IoU 0.5625
        (detected(10, 10, 14, box_side=20), Verdict.POOR_MASK),  # IoU 0.49
        (detected(10, 10, 14), Verdict.POOR_BOX),
        (detected(10, 10, 20, category=2), Verdict.WRONG_CLASS),
        (detected(50, 30, 20), Verdict.BACKGROUND),
        (detected(10, 10, 6), Verdict.BACKGROUND),  # IoU 0.09
    ],
)
def test_detection_is_judged_by_the_iou_of_its_mask(
    detection: Detection, expected: Verdict
) -> None:
    assert verdicts(judge_image(7, SIZE, [detection], [annotated(10, 10, 20)])) == [expected]


def test_second_detection_of_an_object_is_a_duplicate_and_takes_a_free_one_first() -> None:
    detections = [detected(10, 10, 20), detected(10, 10, 19, score=0.8)]
    one = judge_image(7, SIZE, detections, [annotated(10, 10, 20)])
    assert verdicts(one) == [Verdict.CORRECT, Verdict.DUPLICATE]
    two = judge_image(7, SIZE, detections, [annotated(10, 10, 20), annotated(10, 10, 18)])
    assert verdicts(two) == [Verdict.CORRECT, Verdict.CORRECT]
    assert [each.place for each in two.detections] == [0, 1]


def test_detection_inside_a_crowd_region_does_not_count() -> None:
    image = judge_image(7, SIZE, [detected(30, 20, 10)], [annotated(20, 10, 40, crowd=True)])
    assert verdicts(image) == [Verdict.IGNORED]
    assert image.objects == ()
    assert image.quality == 1.0


def test_object_is_missed_only_if_nothing_came_near_it() -> None:
    objects = [annotated(10, 10, 20), annotated(50, 10, 20), annotated(50, 35, 20)]
    detections = [detected(10, 10, 14), detected(50, 10, 20, category=2)]
    image = judge_image(7, SIZE, detections, objects)
    assert verdicts(image) == [Verdict.POOR_BOX, Verdict.WRONG_CLASS]
    assert image.found == (False, False, False)
    assert image.missed == (False, False, True)
    assert image.named == (None, 2, None)


def test_quality_is_panoptic_quality() -> None:
    objects = [annotated(10, 10, 20), annotated(50, 35, 20)]
    image = judge_image(7, SIZE, [detected(10, 10, 15), detected(0, 40, 9)], objects)
    # one match of IoU 225 / 400, one wrong detection, one object without a match
    assert image.quality == pytest.approx(0.5625 / (1 + 0.5 * 2))


def test_image_without_detections_or_objects_is_judged_too() -> None:
    assert judge_image(7, SIZE, [], []).quality == 1.0
    assert judge_image(7, SIZE, [], [annotated(1, 1, 9)]).missed == (True,)
    assert verdicts(judge_image(7, SIZE, [detected(1, 1, 9)], [])) == [Verdict.BACKGROUND]


def test_object_without_a_mask_is_never_matched() -> None:
    bare = replace(annotated(10, 10, 20), segmentation=None)
    image = judge_image(7, SIZE, [detected(10, 10, 20)], [bare])
    assert verdicts(image) == [Verdict.BACKGROUND]
    assert image.missed == (True,)
