"""Ground-truth boxes in a head whose masks are its boxes, filled."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from mfd.coco import CocoDataset
from mfd.headtrain.evaluation.metrics.coco import average_precision, ground_truth
from mfd.headtrain.evaluation.oracles.boxes import true_boxes
from mfd.headtrain.evaluation.results import Entry, box_entries, mask_entries
from mfd.headtrain.head.batch import FeatureBatch
from mfd.headtrain.head.model import HeadOutput, MaskHead
from mfd.headtrain.inference.masks import predict_masks
from mfd.headtrain.inference.select import Candidates, boxes_in_pixels
from mfd.images import Placement
from tests.builders.scenes import CONFIG, SPEC
from tests.headtrain.evaluation.metrics.test_coco import SIZE_HW, annotation, dataset, rle

HEIGHT, WIDTH = SIZE_HW
A, B = (10, 20, 50, 40), (90, 30, 60, 60)
FLIPPED = Placement(SIZE_HW, True, (240, 342), (30, 20, 300, 200), (100, 150), (110, 160))


class Fills(MaskHead):
    """Masks are the boxes; the first query's quality is 1, the others' a half."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.spec, self.config = SPEC, CONFIG

    def forward(self, batch: FeatureBatch) -> HeadOutput:
        count = len(batch.boxes)
        quality = 0.5 + 0.5 * (batch.queries[:, :1] == 0)
        return HeadOutput(torch.ones(count, 8, 8), batch.boxes, quality.expand(-1, 3))


def scene(placement: Placement | None = None) -> tuple[Candidates, FeatureBatch]:
    """Query 0 near A in two categories, query 1 on nothing."""
    input_hw = SIZE_HW if placement is None else placement.input_hw
    boxes = torch.tensor([[0.25, 0.35, 0.3, 0.3], [0.75, 0.85, 0.1, 0.1]])
    row = torch.tensor([0, 1, 0])
    chosen = Candidates(
        image_id=7,
        size_hw=SIZE_HW,
        boxes_xyxy=boxes_in_pixels(boxes, SIZE_HW, placement)[row],
        scores=torch.tensor([0.9, 0.8, 0.7]),
        columns=torch.tensor([1, 1, 0]),
        category_ids=torch.tensor([3, 3, 1]),
        queries=torch.tensor([4, 9]),
        query_row=row,
        placement=placement,
    )
    batch = FeatureBatch(
        memory=[],
        memory_hw=torch.zeros(1, 0, 2, dtype=torch.long),
        c1=None,
        c1_hw=torch.zeros(1, 2, dtype=torch.long),
        input_hw=torch.tensor([input_hw]),
        queries=torch.arange(2.0)[:, None],
        boxes=boxes,
        labels=torch.zeros(2, dtype=torch.long),
        image_index=torch.zeros(2, dtype=torch.long),
    )
    return chosen, batch


def rows(
    truth_of: CocoDataset, placement: Placement | None = None
) -> tuple[list[Entry], list[Entry]]:
    """The head's masks and those at ground-truth boxes."""
    chosen, batch = scene(placement)
    (predicted,) = predict_masks(Fills(), batch, [chosen])
    masks, boxes = list(mask_entries(predicted)), list(box_entries(chosen))
    truth = ground_truth(truth_of, "segm")
    return masks, list(true_boxes(truth, Fills(), batch, chosen, boxes, masks))


@pytest.mark.parametrize("placement", [None, FLIPPED])
def test_true_boxes_are_the_objects_own(placement: Placement | None) -> None:
    """The mask becomes the object's, so that AP becomes 1; other pairs keep their masks."""
    chosen, _ = scene(placement)
    near = chosen.boxes_xyxy[0].round().int().tolist()
    box = (near[0] + 3, near[1] - 2, near[2] - near[0], near[3] - near[1])
    truth = dataset(annotation(0, box))

    masks, changed = rows(truth, placement)

    assert changed[0]["segmentation"] == rle(*box) != masks[0]["segmentation"]
    assert changed[1:] == masks[1:]
    loaded = ground_truth(truth, "segm")
    assert average_precision(loaded, masks, "segm").ap < 0.9
    assert average_precision(loaded, changed, "segm").ap == pytest.approx(1)


def test_true_boxes_keep_class_score_and_query() -> None:
    chosen, _ = scene()
    left, top, right, bottom = chosen.boxes_xyxy[0].tolist()
    truth = dataset(annotation(0, (int(left), int(top), int(right - left), int(bottom - top))))
    masks, changed = rows(truth)
    assert [e["score"] for e in changed] == [e["score"] for e in masks] == [0.9, 0.4, 0.7]


def test_true_boxes_without_objects_change_nothing() -> None:
    masks, changed = rows(dataset())
    assert changed == masks
    crowd = replace(annotation(0, (0, 0, WIDTH, HEIGHT)), iscrowd=True)
    assert rows(dataset(crowd)) == (masks, masks)
