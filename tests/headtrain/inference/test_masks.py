from dataclasses import replace

import numpy as np
import pytest
import torch
from pycocotools import mask as mask_utils
from torch import Tensor, nn

from mfd.coco import decode_segmentation
from mfd.detectors.image_features import ImageFeatures
from mfd.errors import DataError
from mfd.headtrain.head.batch import FeatureBatch
from mfd.headtrain.head.model import HeadOutput, MaskHead
from mfd.headtrain.inference.masks import collate_candidates, predict_masks
from mfd.headtrain.inference.paste import paste_mask
from mfd.headtrain.inference.select import select_detections
from mfd.images import parse_view
from tests.builders.scenes import CONFIG, SPEC


def features(image_id: int = 5, queries: int = SPEC.num_queries) -> ImageFeatures:
    return ImageFeatures(
        image_id=image_id,
        original_hw=(41, 67),
        input_hw=(64, 104),
        queries=torch.randn(queries, SPEC.dim),
        boxes=torch.rand(queries, 4) * 0.4 + 0.3,
        logits=torch.randn(queries, SPEC.num_logits),
        memory=[torch.randn(4, 7, SPEC.dim), torch.randn(2, 4, SPEC.dim)],
        c1=torch.randn(16, 26, SPEC.c1_channels),
    )


class Fixed(MaskHead):
    """A head with given mask logits and IoU estimates for every query."""

    def __init__(self, mask_logits: Tensor, iou: Tensor | None) -> None:
        nn.Module.__init__(self)
        self.spec, self.config, self.mask_logits, self.iou = SPEC, CONFIG, mask_logits, iou
        self.seen: list[FeatureBatch] = []

    def forward(self, batch: FeatureBatch) -> HeadOutput:
        self.seen.append(batch)
        return HeadOutput(self.mask_logits, batch.boxes, self.iou)


@pytest.mark.parametrize("name", ["flip", "ms:0", "lsj:0", "lsj:3"])
def test_masks_seen_in_a_view_lie_where_the_objects_are_in_the_image(name: str) -> None:
    """A disc over the box in the view is, in the image, a disc over the box through the map."""
    image = features()
    placement = parse_view(name).draw(image.image_id, image.original_hw, SPEC.preprocessing)
    seen = replace(image, placement=placement, input_hw=placement.input_hw)
    (chosen,), size = [select_detections(seen, SPEC, 1)], 28
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, size),) * 2, indexing="ij")
    left_half = (x**2 + y**2 < 0.9) & (x < 0)  # not the same when it is flipped
    head = Fixed((left_half * 18.0 - 9.0)[None], torch.full((1, 3), 0.5))
    (found,) = predict_masks(head, collate_candidates([seen], [chosen]), [chosen])

    cx, cy, w, h = seen.boxes[chosen.queries[0]].double().tolist()
    rows, columns = np.mgrid[:41, :67] + 0.5
    high, wide = placement.input_hw
    to_view = placement.matrix
    in_view_x = (columns * to_view[0, 0] + to_view[0, 2]) / wide
    in_view_y = (rows * to_view[1, 1] + to_view[1, 2]) / high
    across, down = (in_view_x - cx) / (w / 2), (in_view_y - cy) / (h / 2)
    expected = (across**2 + down**2 < 0.9) & (across < 0)
    mask = decode_segmentation(found.mask(0), (41, 67)).astype(bool)
    assert expected.sum() > 30
    assert (mask & expected).sum() / (mask | expected).sum() > 0.85
    edges = np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]) * (wide, high, wide, high)
    x_edges = sorted((edges[[0, 2]] - to_view[0, 2]) / to_view[0, 0])
    y_edges = (edges[[1, 3]] - to_view[1, 2]) / to_view[1, 1]
    corners = [x_edges[0], y_edges[0], x_edges[1], y_edges[1]]
    assert chosen.boxes_xyxy[0].tolist() == pytest.approx(corners, abs=1e-9)


def test_a_query_with_two_categories_passes_the_head_once_and_keeps_one_mask() -> None:
    image = features()
    image.logits[4] = torch.tensor([3.0, 5.0, 4.0])
    chosen = select_detections(image, SPEC, 3)
    assert chosen.columns.tolist() == [1, 2, 0]

    batch = collate_candidates([image], [chosen])
    head = Fixed(torch.randn(1, 9, 9), torch.tensor([[0.1, 0.2, 0.4]]))
    (found,) = predict_masks(head, batch, [chosen])

    assert torch.equal(batch.queries, image.queries[4:5])
    assert batch.labels.tolist() == [1]  # its best category
    first, second, third = found.masks()
    assert first is second is third
    assert first == paste_mask(head.mask_logits[0].sigmoid(), chosen.boxes_xyxy[0], (41, 67))
    expected = torch.tensor([5.0, 4.0, 3.0]).sigmoid() * torch.tensor([0.2, 0.4, 0.1])
    torch.testing.assert_close(found.scores, expected)
    torch.testing.assert_close(found.quality, torch.tensor([0.2, 0.4, 0.1]))


def test_masks_are_pasted_from_what_the_head_says() -> None:
    image = features(queries=2)
    chosen = select_detections(image, SPEC, 2)
    head = Fixed(3 * torch.randn(2, 9, 9), None)
    masks = {}
    for paste in ("probabilities", "logits"):
        head.config = replace(CONFIG, paste=paste)
        (found,) = predict_masks(head, collate_candidates([image], [chosen]), [chosen])
        masks[paste] = found.mask(0), found.quality
    row, box = int(chosen.query_row[0]), chosen.boxes_xyxy[0]
    logits = head.mask_logits[row]
    assert masks["logits"][0] == paste_mask(logits, box, (41, 67), threshold=0.0)
    assert masks["probabilities"][0] == paste_mask(logits.sigmoid(), box, (41, 67))
    assert masks["logits"][0] != masks["probabilities"][0]
    assert torch.equal(masks["logits"][1], masks["probabilities"][1])


def test_estimated_ious_are_limited_to_their_range() -> None:
    image = features(queries=2)
    chosen = select_detections(image, SPEC, 6)
    head = Fixed(torch.randn(2, 9, 9), torch.tensor([[-0.5, 0.5, 1.5]] * 2))

    (found,) = predict_masks(head, collate_candidates([image], [chosen]), [chosen])

    assert torch.equal(found.quality, torch.tensor([0, 0.5, 1])[chosen.columns])


def test_without_mask_scoring_the_quality_is_the_mean_above_one_half() -> None:
    image = features(queries=2)
    chosen = select_detections(image, SPEC, 6)
    probabilities = torch.tensor([[[0.9, 0.4, 0.6], [0.2, 0.5, 0.7]], [[0.5, 0.1, 0.2], [0, 0, 0]]])
    head = Fixed(probabilities.logit(), None)

    (found,) = predict_masks(head, collate_candidates([image], [chosen]), [chosen])

    quality = torch.tensor([(0.9 + 0.6 + 0.7) / 3, 0])[chosen.query_row]
    torch.testing.assert_close(found.quality, quality)


def test_each_image_of_a_batch_gets_its_own_masks() -> None:
    images = [features(1), features(2), features(3)]
    head = MaskHead(CONFIG, SPEC).eval()
    candidates = [
        select_detections(image, SPEC, count)
        for image, count in zip(images, (5, 1, 30), strict=True)
    ]

    together = predict_masks(head, collate_candidates(images, candidates), candidates)

    for image, chosen, found in zip(images, candidates, together, strict=True):
        (alone,) = predict_masks(head, collate_candidates([image], [chosen]), [chosen])
        torch.testing.assert_close(found.maps, alone.maps, atol=1e-5, rtol=0)
        assert torch.equal(found.frames_xyxy, alone.frames_xyxy)
        assert list(found.masks())[-1] == found.mask(len(chosen.scores) - 1)


def test_masks_of_whole_images_lie_where_their_frame_says() -> None:
    """Heads without RoIAlign give maps of the image with its padding, not of the box."""
    image = features()
    chosen = select_detections(image, SPEC, 1)
    whole = replace(CONFIG, roi_align=False)
    (found,) = predict_masks(
        MaskHead(whole, SPEC).eval(), collate_candidates([image], [chosen]), [chosen]
    )

    assert found.maps.shape == (1, 16, 26)
    assert found.frames_xyxy[0].tolist() == pytest.approx([0, 0, 67, 41], rel=1e-6)
    assert mask_utils.area(found.mask(0)) > 0


def test_masks_that_are_not_finite_are_refused_by_image() -> None:
    images = [features(image_id=3), features(image_id=77)]
    candidates = [select_detections(image, SPEC, 5) for image in images]
    count = sum(len(chosen.queries) for chosen in candidates)
    head = Fixed(torch.randn(count, 9, 9), None)
    head.mask_logits[-1, 2, 2] = float("nan")

    with pytest.raises(DataError, match="masks of image 77 are not finite"):
        predict_masks(head, collate_candidates(images, candidates), candidates)
