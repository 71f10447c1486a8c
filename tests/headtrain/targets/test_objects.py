from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from mfd.coco import Annotation, ImageEntry
from mfd.errors import StoreError
from mfd.headtrain.targets.objects import TargetCounts, matched_objects
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


def test_the_crop_is_the_object_seen_through_the_querys_box() -> None:
    far, near = (40.0, 30.0, 50.0, 38.0), (20.0, 8.0, 40.0, 24.0)  # the left half is missed
    rows, counts = matched_objects(*queries(far, near), [RECTANGLE], IMAGE, SPEC, 8)
    (row,) = rows
    assert (row.query_index, row.label, row.annotation_id) == (1, 2, 11)
    assert (row.crop[:, :4] == 255).all()
    assert (row.crop[:, 4:] == 0).all()
    assert row.area_ratio == pytest.approx(1.0)  # as large as the box, half of it outside
    assert counts == TargetCounts(matched=1)


def test_the_area_ratio_exceeds_one_for_boxes_that_are_too_small() -> None:
    quarter = (10.0, 8.0, 20.0, 16.0)
    rows, _ = matched_objects(*queries(quarter), [RECTANGLE], IMAGE, SPEC, 8)
    assert (rows[0].crop == 255).all()
    assert rows[0].area_ratio == pytest.approx(4.0, rel=1e-5)


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
    rows, counts = matched_objects(*boxes, annotations, IMAGE, SPEC, 8)
    assert [row.annotation_id for row in rows] == [11]
    assert counts == TargetCounts(
        matched=1, crowd=1, unknown_category=1, no_box=1, no_query=1, no_mask=2
    )
    assert "1 crowd regions" in str(counts + TargetCounts())


def test_a_box_without_area_still_has_a_frame() -> None:
    rows, _ = matched_objects(*queries((12.0, 9.0, 12.0, 9.0)), [RECTANGLE], IMAGE, SPEC, 8)
    assert (rows[0].crop == 255).all()
    assert np.isfinite(rows[0].area_ratio)


def test_output_that_is_not_finite_names_the_image() -> None:
    logits, boxes = queries((10.0, 8.0, 30.0, 24.0))
    logits[0, 1] = float("nan")
    with pytest.raises(StoreError, match=r"image 5 \(a.jpg\) holds NaN"):
        matched_objects(logits, boxes, [RECTANGLE], IMAGE, SPEC, 8)
