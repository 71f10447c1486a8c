from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from mfd.coco import Annotation, ImageEntry
from mfd.errors import StoreError
from mfd.headtrain.targets.image import ImageTargets, image_targets
from mfd.headtrain.targets.objects import TargetCounts
from mfd.headtrain.targets.view_map import ViewMap
from mfd.images import Placement
from mfd.nn import cxcywh_to_xyxy, xyxy_to_cxcywh
from tests.builders.masks import cell_means
from tests.builders.runs import SPEC

IMAGE = ImageEntry(5, "a.jpg", (40, 60))
RECTANGLE = Annotation(
    annotation_id=11,
    image_id=5,
    category_id=90,
    bbox_xywh=(10.0, 8.0, 20.0, 16.0),
    area=320.0,
    iscrowd=False,
    segmentation=[[10.0, 8.0, 30.0, 8.0, 30.0, 24.0, 10.0, 24.0]],
)


def queries(*boxes_xyxy: tuple[float, float, float, float]) -> tuple[Tensor, Tensor]:
    """Logits and boxes of one query per box of pixels, all unsure of their category."""
    corners = torch.tensor(boxes_xyxy) / torch.tensor([60.0, 40.0, 60.0, 40.0])
    centre, size = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
    return torch.zeros(len(corners), 3), torch.cat((centre, size), 1)


def seen(
    boxes: tuple[Tensor, Tensor], annotations: list[Annotation]
) -> tuple[ImageTargets, np.ndarray, np.ndarray, TargetCounts]:
    """The targets, and their pairs' crops and area ratios."""
    targets, counts = image_targets(*boxes, annotations, IMAGE, SPEC)
    frames = cxcywh_to_xyxy(boxes[1][targets.query_index].double()).numpy()
    return targets, *targets.objects.crops(targets.object_index, frames, 8), counts


def test_the_crop_is_the_object_seen_through_the_querys_box() -> None:
    far, near = (40.0, 30.0, 50.0, 38.0), (20.0, 8.0, 40.0, 24.0)  # the left half is missed
    targets, (crop,), (ratio,), counts = seen(queries(far, near), [RECTANGLE])
    assert targets.query_index.tolist() == [1]
    assert targets.objects.labels.tolist() == [2]
    assert targets.objects.annotation_ids.tolist() == [11]
    assert targets.pair_iou.tolist() == pytest.approx([1 / 3])
    assert (crop[:, :4] == 255).all()
    assert (crop[:, 4:] == 0).all()
    assert ratio == pytest.approx(1.0)  # as large as the box, half of it outside
    assert counts == TargetCounts(matched=1)


def test_the_area_ratio_exceeds_one_for_boxes_that_are_too_small() -> None:
    quarter = (10.0, 8.0, 20.0, 16.0)
    _, (crop,), (ratio,), _ = seen(queries(quarter), [RECTANGLE])
    assert (crop == 255).all()
    assert ratio == pytest.approx(4.0, rel=1e-5)


def test_cells_are_rounded_to_the_nearest_of_256_steps() -> None:
    targets, *_ = seen(queries((10.0, 8.0, 30.0, 24.0)), [RECTANGLE])
    for covered in (0.4, 0.499, 0.501, 0.6):
        box = np.array([[10 - 20 * (1 - covered), 8.0, 10 + 20 * covered, 24.0]])
        crops, _ = targets.objects.crops(np.zeros(1, np.int64), box / [60, 40, 60, 40], 1)
        assert crops.item() == round(255 * covered)


def test_what_cannot_be_matched_is_counted() -> None:
    annotations = [
        RECTANGLE,
        replace(RECTANGLE, annotation_id=12, iscrowd=True),
        replace(RECTANGLE, annotation_id=13, category_id=55),
        replace(RECTANGLE, annotation_id=14, bbox_xywh=(70.0, 8.0, 5.0, 5.0)),
        replace(RECTANGLE, annotation_id=15, segmentation=None),
        replace(RECTANGLE, annotation_id=17, segmentation=[[70.0, 8.0, 80.0, 8.0, 80.0, 24.0]]),
        replace(RECTANGLE, annotation_id=16, bbox_xywh=(1.0, 1.0, 3.0, 3.0)),
    ]
    boxes = queries((10.0, 8.0, 30.0, 24.0), (11.0, 9.0, 29.0, 23.0))
    targets, counts = image_targets(*boxes, annotations, IMAGE, SPEC)
    matched = targets.objects.annotation_ids[targets.object_index]
    assert matched.tolist() == [11]
    assert targets.objects.annotation_ids.tolist() == [11, 16]
    assert counts == TargetCounts(
        matched=1, crowd=1, unknown_category=1, no_box=1, no_query=1, no_mask=2
    )
    assert "1 crowd regions" in str(counts + TargetCounts())


def test_a_box_without_area_still_has_a_frame() -> None:
    _, (crop,), (ratio,), _ = seen(queries((12.0, 9.0, 12.0, 9.0)), [RECTANGLE])
    assert (crop == 255).all()
    assert np.isfinite(ratio)


def test_output_that_is_not_finite_names_the_image() -> None:
    logits, boxes = queries((10.0, 8.0, 30.0, 24.0))
    logits[0, 1] = float("nan")
    with pytest.raises(StoreError, match=r"image 5 \(a.jpg\) holds NaN"):
        image_targets(logits, boxes, [RECTANGLE], IMAGE, SPEC)


PLACEMENTS = {
    "whole": Placement((40, 60), False, (80, 90), (0, 0, 90, 80), (80, 90), (80, 90)),
    "flipped": Placement((40, 60), True, (80, 90), (0, 0, 90, 80), (80, 90), (80, 90)),
    "cropped": Placement((40, 60), False, (80, 120), (30, 10, 60, 50), (50, 60), (50, 60)),
    "flipped, cropped, padded": Placement(
        (40, 60), True, (80, 120), (50, 10, 60, 50), (100, 120), (130, 140)
    ),
}


@pytest.mark.parametrize("placement", PLACEMENTS.values(), ids=PLACEMENTS)
def test_a_view_has_the_crops_of_the_mask_that_it_shows(placement: Placement) -> None:
    """Against the mask drawn as the view: every pixel enlarged 6 times, flipped, and cut."""
    view = ViewMap.of(placement)
    targets, counts = image_targets(*queries((0, 0, 60, 40)), [RECTANGLE], IMAGE, SPEC, view)
    assert counts == TargetCounts(matched=1)
    mask = np.zeros((240, 360))
    mask[48:144, 60:180] = 1
    left, top, right, bottom = (round(6 * edge) for edge in view.window_xyxy)
    shown = mask[top:bottom, left:right]
    if placement.flip:
        shown = shown[:, ::-1]
    (height, width), (whole_h, whole_w) = placement.content_hw, placement.input_hw
    y, x = shown.shape[0] * whole_h / height, shown.shape[1] * whole_w / width
    for box in ((0.1, 0.2, 0.55, 0.9), (-0.2, -0.3, 1.3, 1.2), (0.31, 0.43, 0.42, 0.51)):
        crops, ratios = targets.objects.crops(np.zeros(1, np.int64), np.array([box]), 7)
        in_view = (box[0] * x, box[1] * y, box[2] * x, box[3] * y)
        expected = cell_means(shown, in_view, 7)
        assert abs(crops[0] - 255 * expected).max() <= 0.5 + 1e-9
        area = (in_view[2] - in_view[0]) * (in_view[3] - in_view[1])
        assert ratios[0] == pytest.approx(shown.sum() / area, rel=1e-6)


@pytest.mark.parametrize("placement", PLACEMENTS.values(), ids=PLACEMENTS)
def test_a_view_matches_the_query_that_predicts_what_it_shows(placement: Placement) -> None:
    view = ViewMap.of(placement)
    window = np.array(view.window_xyxy)
    shown = np.array([[10.0, 8.0, 30.0, 24.0]])
    shown = np.concatenate(
        (np.maximum(shown[:, :2], window[:2]), np.minimum(shown[:, 2:], window[2:])), 1
    )
    exact = view.to_view(torch.from_numpy(shown))
    assert np.allclose(view.to_image(exact.numpy()), shown)
    other = torch.tensor([[0.8, 0.8, 0.1, 0.1]])
    boxes = torch.cat((other, xyxy_to_cxcywh(exact).float()))
    targets, _ = image_targets(torch.zeros(2, 3), boxes, [RECTANGLE], IMAGE, SPEC, view)
    assert targets.query_index.tolist() == [1]
    assert targets.pair_iou.tolist() == pytest.approx([1.0], rel=1e-5)


def test_an_object_that_a_view_cuts_off_is_no_target() -> None:
    placement = Placement((40, 60), False, (40, 60), (35, 0, 25, 40), (40, 25), (40, 25))
    targets, counts = image_targets(
        *queries((0, 0, 60, 40)), [RECTANGLE], IMAGE, SPEC, ViewMap.of(placement)
    )
    assert (len(targets.objects), len(targets.query_index)) == (0, 0)
    assert counts == TargetCounts(no_box=1)
