"""Detections in the format of COCO's evaluation server."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Float
from numpy import ndarray

from mfd.files import write_atomically
from mfd.headtrain.inference.masks import Candidates, Detections
from mfd.headtrain.inference.paste import Rle, fill_box

Entry = dict[str, Any]
"""One detection: image_id, category_id, score and either bbox (left, top, width, height, in
pixels) or segmentation (compressed RLE)."""


def box_entries(chosen: Candidates) -> Iterator[Entry]:
    """The boxes with the detector's own scores."""
    for entry, (left, top, right, bottom) in zip(
        _scored(chosen, chosen.scores), chosen.boxes_xyxy.tolist(), strict=True
    ):
        box_xywh = (left, top, right - left, bottom - top)
        yield {**entry, "bbox": [round(value, 4) for value in box_xywh]}


def mask_entries(detections: Detections) -> Iterator[Entry]:
    """The masks with their own scores, each pasted when its turn comes."""
    scored = _scored(detections.candidates, detections.mask_scores)
    for entry, rle in zip(scored, detections.masks(), strict=True):
        yield {**entry, "segmentation": rle}


def filled_box_entries(chosen: Candidates) -> Iterator[Entry]:
    """The boxes as masks, with the detector's own scores: what any mask must beat."""
    filled: dict[int, Rle] = {}  # a query's categories share its box
    rows = zip(chosen.query_row.tolist(), chosen.boxes_xyxy, strict=True)
    for entry, (row, box_xyxy) in zip(_scored(chosen, chosen.scores), rows, strict=True):
        if row not in filled:
            filled[row] = fill_box(box_xyxy, chosen.size_hw)
        yield {**entry, "segmentation": filled[row]}


def write_results(path: Path, entries: Sequence[Entry]) -> None:
    """Write the detections as one JSON list, one per line."""
    lines = ",\n".join(json.dumps(entry, default=_ascii) for entry in entries)
    write_atomically(path, f"[\n{lines}\n]\n".encode("ascii"))


def _scored(chosen: Candidates, scores: Float[ndarray, " N"]) -> Iterator[Entry]:
    for category_id, score in zip(chosen.category_ids.tolist(), scores.tolist(), strict=True):
        yield {
            "image_id": chosen.image_id,
            "category_id": category_id,
            "score": round(score, 7),
        }


def _ascii(counts: Any) -> str:
    """The counts of an RLE, the only bytes in an entry."""
    return counts.decode("ascii")
