"""The detections that an evaluation wrote, box and mask of each put together again."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mfd.coco import ANY_CATEGORY
from mfd.errors import DataError
from mfd.headtrain import read_results


@dataclass(frozen=True)
class Detection:
    """One detection of an evaluation.

    Attributes:
        category_id: as annotated.
        class_score: the detector's.
        quality: the IoU that the head expects of the mask.
        bbox: left, top, width, height in pixels.
        rle: the mask as COCO's compressed run lengths.
    """

    category_id: int
    class_score: float
    quality: float
    bbox: tuple[float, float, float, float]
    rle: dict[str, Any]


def read_detections(
    folder: Path, min_score: float, *, class_agnostic: bool = False
) -> Mapping[int, Sequence[Detection]]:
    """The detections of each image id, best first; of one box only its best category.

    Args:
        folder: of an evaluation, with `results_bbox.json` and `results_segm.json`.
        min_score: least class score.
        class_agnostic: give all of them the category of any object.

    Raises:
        DataError: a file is missing or damaged, or the two are not of one evaluation.
    """
    boxes, masks = (read_results(folder / f"results_{kind}.json") for kind in ("bbox", "segm"))
    found: dict[int, dict[tuple[float, ...], Detection]] = defaultdict(dict)
    try:
        pairs = list(zip(boxes, masks, strict=True))
        for box, mask in pairs:
            if any(box[key] != mask[key] for key in ("image_id", "category_id")):
                raise ValueError("their lines differ")
            if box["score"] < min_score:
                continue
            bbox = tuple(box["bbox"])
            quality = mask["score"] / box["score"] if box["score"] else 0.0
            category_id = ANY_CATEGORY if class_agnostic else box["category_id"]
            each = Detection(category_id, box["score"], quality, bbox, mask["segmentation"])
            known = found[box["image_id"]].get(bbox)
            if known is None or known.class_score < each.class_score:
                found[box["image_id"]][bbox] = each
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"results_bbox.json and results_segm.json in {folder} are not of one evaluation "
            f"({error}); run `mfd evaluate` again"
        ) from error
    return {
        image_id: sorted(each.values(), key=lambda d: -d.class_score)
        for image_id, each in found.items()
    }
