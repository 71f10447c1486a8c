import json
from pathlib import Path

import numpy as np
import pytest

from mfd.headtrain.evaluation.results import (
    box_entries,
    filled_box_entries,
    mask_entries,
    write_results,
)
from mfd.headtrain.inference.masks import Candidates, Detections
from mfd.headtrain.inference.paste import fill_box, paste_mask

CANDIDATES = Candidates(
    image_id=12,
    size_hw=(31, 43),
    boxes_xyxy=np.array([[-3.25, 2.0, 20.5, 17.123456], [5.0, 6.0, 7.0, 9.0]]),
    scores=np.array([0.75, 0.123456789], np.float32),
    columns=np.array([2, 0]),
    category_ids=np.array([90, 1]),
    queries=np.array([4, 9]),
    query_row=np.array([1, 0]),
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
    maps = np.stack([np.full((5, 5), 0.9, np.float32), np.eye(5, dtype=np.float32)])
    frames = CANDIDATES.boxes_xyxy[[1, 0]]
    scores = np.array([0.5, 0.1], np.float32)

    first, second = mask_entries(Detections(CANDIDATES, scores, maps, frames))

    assert (first["score"], first["category_id"], second["category_id"]) == (0.5, 90, 1)
    assert first["segmentation"] == paste_mask(maps[1], frames[1], (31, 43))
    assert second["segmentation"] == fill_box(frames[0], (31, 43))


def test_filled_boxes_keep_the_detectors_scores() -> None:
    entries = list(filled_box_entries(CANDIDATES))

    assert [entry["score"] for entry in entries] == [e["score"] for e in box_entries(CANDIDATES)]
    assert entries[0]["segmentation"] == fill_box(CANDIDATES.boxes_xyxy[0], (31, 43))


def test_written_masks_are_plain_text(tmp_path: Path) -> None:
    entries = list(filled_box_entries(CANDIDATES))

    write_results(tmp_path / "results.json", entries)

    loaded = json.loads((tmp_path / "results.json").read_text())
    for entry, wanted in zip(loaded, entries, strict=True):
        assert entry["segmentation"]["size"] == [31, 43]
        assert entry["segmentation"]["counts"].encode() == wanted["segmentation"]["counts"]
        assert entry["score"] == wanted["score"]


def test_no_detections_are_an_empty_list(tmp_path: Path) -> None:
    write_results(tmp_path / "results.json", [])

    assert json.loads((tmp_path / "results.json").read_text()) == []
