"""COCO's average precision, as pycocotools computes it."""

import contextlib
import io
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mfd.coco import ANY_CATEGORY, CocoDataset, encode_segmentation
from mfd.headtrain.evaluation.metrics.figures import Figures
from mfd.headtrain.evaluation.results import Entry

Kind = Literal["bbox", "segm"]

_PER_CATEGORY = 100  # detections of an image and category that COCO looks at, best first


def ground_truth(dataset: CocoDataset, kind: Kind) -> COCO:
    """The data set as pycocotools reads it, masks already encoded.

    Objects without a mask count: their boxes as any other, their masks as empty, which no
    detection matches. (pycocotools stops on files with segmentations that are absent, empty or of
    two points only; with an empty RLE in their place it computes the same.) Annotations are
    numbered from 1, since pycocotools takes a match with number 0 for no match.
    """
    annotations = []
    for image in dataset.images:
        for found in dataset.annotations.get(image.image_id, ()):
            annotation = {
                "image_id": found.image_id,
                "category_id": found.category_id,
                "bbox": list(found.bbox_xywh),
                "area": found.area,
                "iscrowd": int(found.iscrowd),
            }
            if kind == "segm":
                rle = encode_segmentation(found.segmentation or [], image.size_hw)
                annotation["segmentation"] = rle
            annotations.append(annotation)
    images = [
        {"id": image.image_id, "height": image.size_hw[0], "width": image.size_hw[1]}
        for image in dataset.images
    ]
    categories = [{"id": key, "name": name} for key, name in dataset.categories.items()]
    return _coco(images, categories, annotations)


def average_precision(truth: COCO, entries: Sequence[Entry], kind: Kind) -> Figures:
    """COCO's figures of the detections, of which the 100 best per image and category count.

    `ap` is the mean over the IoU thresholds .50, .55 ... .95 and over the categories; `ap50` and
    `ap75` are at one threshold; `ap_small` is of objects up to 32 * 32 pixels (`area` in the
    annotations), `ap_medium` from there to 96 * 96, `ap_large` above. Detections of categories
    that the annotations do not know are ignored, as by COCO's server. Where the annotations have
    the category of any object, all detections have it: pycocotools' `useCats=0`.

    Curves: `ap_by_iou` at each of the ten thresholds; `precision_50` and `precision_75` at recalls
    of 0, .01 ... 1, the mean over the categories.

    Args:
        truth: of `ground_truth`, of the same kind.
        kind: which of an entry's fields is compared with the annotations.
    """
    whole = {"category_id": ANY_CATEGORY} if ANY_CATEGORY in truth.cats else {}
    found = _coco(
        truth.dataset["images"],
        truth.dataset["categories"],
        [{**entry, **whole, "area": _area(entry, kind), "iscrowd": 0} for entry in entries],
    )
    evaluation = COCOeval(truth, found, kind)
    evaluation.params.maxDets = [_PER_CATEGORY]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
    # (thresholds, recalls, categories, areas): .50 and .75 are the thresholds 0 and 5
    precision = evaluation.eval["precision"][..., 0]
    return Figures(
        overall={
            "ap": _mean(precision[:, :, :, 0]),
            "ap50": _mean(precision[0, :, :, 0]),
            "ap75": _mean(precision[5, :, :, 0]),
            "ap_small": _mean(precision[:, :, :, 1]),
            "ap_medium": _mean(precision[:, :, :, 2]),
            "ap_large": _mean(precision[:, :, :, 3]),
        },
        per_category={
            int(category_id): _mean(precision[:, :, column, 0])
            for column, category_id in enumerate(evaluation.params.catIds)
        },
        curves={
            "ap_by_iou": [_mean(at) for at in precision[..., 0]],
            "precision_50": [_mean(at) for at in precision[0, :, :, 0]],
            "precision_75": [_mean(at) for at in precision[5, :, :, 0]],
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
