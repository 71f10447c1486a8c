"""Detections in the format of COCO's evaluation server."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from mfd.errors import DataError
from mfd.headtrain.inference.masks import MaskPredictions
from mfd.headtrain.inference.select import Candidates

Entry = dict[str, Any]
"""One detection: image_id, category_id, score and either bbox (left, top, width, height, in
pixels) or segmentation (compressed RLE)."""


def box_entries(chosen: Candidates) -> Iterator[Entry]:
    """The boxes with the detector's own scores."""
    for entry, (left, top, right, bottom) in zip(
        scored_entries(chosen, chosen.scores), chosen.boxes_xyxy.tolist(), strict=True
    ):
        box_xywh = (left, top, right - left, bottom - top)
        yield {**entry, "bbox": [round(value, 4) for value in box_xywh]}


def mask_entries(masks: MaskPredictions) -> Iterator[Entry]:
    """The masks with their own scores, each pasted when its turn comes."""
    scored = scored_entries(masks.candidates, masks.scores)
    for entry, rle in zip(scored, masks.masks(), strict=True):
        yield {**entry, "segmentation": rle}


def scored_entries(chosen: Candidates, scores: Float[Tensor, " N"]) -> Iterator[Entry]:
    """Image, category and score of every candidate."""
    for category_id, score in zip(chosen.category_ids.tolist(), scores.tolist(), strict=True):
        yield {
            "image_id": chosen.image_id,
            "category_id": category_id,
            "score": round(score, 7),
        }


def results_json(entries: Sequence[Entry]) -> bytes:
    """The detections as one JSON list, one per line."""
    lines = ",\n".join(json.dumps(entry, default=_ascii) for entry in entries)
    return f"[\n{lines}\n]\n".encode("ascii")


def read_results(path: Path) -> list[Entry]:
    """The detections that `results_json` wrote; counts of masks are text.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        entries = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path} ({error}); run `mfd evaluate` again") from error
    if not isinstance(entries, list):
        raise DataError(f"{path} holds no list of detections; run `mfd evaluate` again")
    return entries


def _ascii(counts: Any) -> str:
    """The counts of an RLE, the only bytes in an entry."""
    return counts.decode("ascii")
