"""Average precision as pycocotools computes it."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mfd.coco import CocoDataset, encode_segmentation
from mfd.headtrain.evaluation.results import Entry

_PER_CATEGORY = 100  # detections of an image and category that COCO looks at, best first


@dataclass(frozen=True)
class AveragePrecision:
    """COCO's figures, between 0 and 1; None where the annotations hold nothing to be found.

    Attributes:
        ap: mean over IoU thresholds .50, .55 ... .95 and over the categories.
        ap50: at threshold .50.
        ap75: at threshold .75.
        ap_small: of objects up to 32 * 32 pixels (`area` in the annotations).
        ap_medium: from there to 96 * 96 pixels.
        ap_large: above.
        per_category: `ap` of each category id.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    per_category: dict[int, float | None]

    def figures(self) -> dict[str, float | None]:
        """The six figures over all categories by name."""
        return {name: value for name, value in asdict(self).items() if name != "per_category"}


def ground_truth(dataset: CocoDataset) -> COCO:
    """The data set as pycocotools reads it, masks already encoded.

    Annotations are numbered anew from 1: pycocotools takes a match with number 0 for no match.
    """
    annotations = [
        {
            "image_id": found.image_id,
            "category_id": found.category_id,
            "bbox": list(found.bbox_xywh),
            "area": found.area,
            "iscrowd": int(found.iscrowd),
            "segmentation": encode_segmentation(found.segmentation, image.size_hw),
        }
        for image in dataset.images
        for found in dataset.annotations.get(image.image_id, ())
    ]
    images = [
        {"id": image.image_id, "height": image.size_hw[0], "width": image.size_hw[1]}
        for image in dataset.images
    ]
    categories = [{"id": key, "name": name} for key, name in dataset.categories.items()]
    return _coco(images, categories, annotations)


def average_precision(
    truth: COCO, entries: Sequence[Entry], kind: Literal["bbox", "segm"]
) -> AveragePrecision:
    """COCO's figures of the detections, of which the 100 best per image and category count.

    Detections of categories that the annotations do not know are ignored, as by COCO's server.

    Args:
        truth: of `ground_truth`.
        kind: which of an entry's fields is compared with the annotations.
    """
    found = _coco(
        truth.dataset["images"],
        truth.dataset["categories"],
        [{**entry, "area": _area(entry, kind), "iscrowd": 0} for entry in entries],
    )
    evaluation = COCOeval(truth, found, kind)
    evaluation.params.maxDets = [_PER_CATEGORY]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
    # (thresholds, recalls, categories, areas): .50 and .75 are the thresholds 0 and 5
    precision = evaluation.eval["precision"][..., 0]
    return AveragePrecision(
        ap=_mean(precision[:, :, :, 0]),
        ap50=_mean(precision[0, :, :, 0]),
        ap75=_mean(precision[5, :, :, 0]),
        ap_small=_mean(precision[:, :, :, 1]),
        ap_medium=_mean(precision[:, :, :, 2]),
        ap_large=_mean(precision[:, :, :, 3]),
        per_category={
            int(category_id): _mean(precision[:, :, column, 0])
            for column, category_id in enumerate(evaluation.params.catIds)
        },
    )


def _coco(
    images: list[dict[str, Any]], categories: list[dict[str, Any]], annotations: list[Entry]
) -> COCO:
    for number, annotation in enumerate(annotations, start=1):
        annotation["id"] = number
    coco = COCO()
    coco.dataset = {"images": images, "categories": categories, "annotations": annotations}
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def _area(entry: Entry, kind: str) -> float:
    """What sorts a detection into small, medium and large."""
    if kind == "bbox":
        return entry["bbox"][2] * entry["bbox"][3]
    return float(mask_utils.area(entry["segmentation"]))


def _mean(precision: Float[np.ndarray, "..."]) -> float | None:
    """The mean of what is defined; pycocotools marks the rest with -1."""
    defined = precision[precision > -1]
    return float(defined.mean()) if defined.size else None
