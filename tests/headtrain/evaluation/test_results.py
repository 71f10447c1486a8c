import json

import numpy as np
import pytest
import torch

from mfd.headtrain.evaluation.results import (
    box_entries,
    mask_entries,
    results_json,
)
from mfd.headtrain.inference.masks import MaskPredictions
from mfd.headtrain.inference.paste import fill_box, paste_mask
from mfd.headtrain.inference.select import Candidates

CANDIDATES = Candidates(
    image_id=12,
    size_hw=(31, 43),
    boxes_xyxy=torch.tensor(
        [[-3.25, 2.0, 20.5, 17.123456], [5.0, 6.0, 7.0, 9.0]], dtype=torch.float64
    ),
    scores=torch.tensor([0.75, 0.123456789]),
    columns=torch.tensor([2, 0]),
    category_ids=torch.tensor([90, 1]),
    queries=torch.tensor([4, 9]),
    query_row=torch.tensor([1, 0]),
)


def test_boxes_have_left_top_width_height_and_the_detectors_score() -> None:
    first, second = box_entries(CANDIDATES)

    assert first == {
        "image_id": 12,
        "category_id": 90,
        "score": 0.75,
        "bbox": [-3.25, 2.0, 23.75, 15.1235],
    }
    assert second["score"] == pytest.approx(0.1234568, abs=1e-7)


def test_masks_have_their_own_scores_and_their_querys_map() -> None:
    maps = torch.stack([torch.full((5, 5), 0.9), torch.eye(5)])
    frames = CANDIDATES.boxes_xyxy[[1, 0]]
    quality = torch.tensor([0.5, 0.25])

    first, second = mask_entries(MaskPredictions(CANDIDATES, quality, maps, frames))

    assert (first["score"], first["category_id"], second["category_id"]) == (0.375, 90, 1)
    assert second["score"] == pytest.approx(0.0308642, abs=1e-7)
    assert first["segmentation"] == paste_mask(maps[1], frames[1], (31, 43))
    assert second["segmentation"] == fill_box(frames[0], (31, 43))


def test_masks_are_plain_text_in_json() -> None:
    maps = torch.from_numpy(np.random.default_rng(0).random((2, 5, 5), np.float32))
    masks = MaskPredictions(CANDIDATES, torch.ones(2), maps, CANDIDATES.boxes_xyxy[[1, 0]])
    entries = list(mask_entries(masks))

    loaded = json.loads(results_json(entries))

    for entry, wanted in zip(loaded, entries, strict=True):
        assert entry["segmentation"]["size"] == [31, 43]
        assert entry["segmentation"]["counts"].encode() == wanted["segmentation"]["counts"]
        assert entry["score"] == wanted["score"]


def test_no_detections_are_an_empty_list() -> None:
    assert json.loads(results_json([])) == []
