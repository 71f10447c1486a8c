"""COCO's average precision, as pycocotools computes it."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO

from mfd.coco import ABSENT, ANY_CATEGORY, PARTIAL, CocoDataset, Federated, encode_segmentation
from mfd.config import Evaluator
from mfd.headtrain.evaluation.metrics.evaluators import Kind, coco_eval
from mfd.headtrain.evaluation.metrics.federated import FederatedEval
from mfd.headtrain.evaluation.metrics.figures import Figures
from mfd.headtrain.evaluation.results import Entry

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
            if kind != "bbox":
                rle = encode_segmentation(found.segmentation or [], image.size_hw)
                annotation["segmentation"] = rle
            annotations.append(annotation)
    images: list[dict[str, Any]] = [
        {"id": image.image_id, "height": image.size_hw[0], "width": image.size_hw[1]}
        for image in dataset.images
    ]
    categories: list[dict[str, Any]] = [
        {"id": key, "name": name} for key, name in dataset.categories.items()
    ]
    if dataset.federated is not None and not dataset.class_agnostic:
        _add_federated(dataset, dataset.federated, images, categories)
    return _coco(images, categories, annotations)


def _add_federated(
    dataset: CocoDataset,
    federated: Federated,
    images: list[dict[str, Any]],
    categories: list[dict[str, Any]],
) -> None:
    """LVIS's fields. A category of which an image has no object is not annotated in part there."""
    for image in images:
        objects = dataset.annotations.get(image["id"], ())
        partial = federated.partial.get(image["id"], frozenset())
        image[ABSENT] = sorted(federated.absent.get(image["id"], ()))
        image[PARTIAL] = sorted(partial & {found.category_id for found in objects})
    for category in categories:
        if frequency := federated.frequency.get(category["id"]):
            category["frequency"] = frequency


def average_precision(
    truth: COCO, entries: Sequence[Entry], kind: Kind, evaluator: Evaluator = "pycocotools"
) -> Figures:
    """COCO's figures of the detections, see `figures_of`."""
    return figures_of(scored(truth, entries, kind, evaluator))


def scored(
    truth: COCO, entries: Sequence[Entry], kind: Kind, evaluator: Evaluator = "pycocotools"
) -> Any:
    """A COCOeval that has matched and accumulated the detections.

    The 100 best per image and category count; of federated annotations see `FederatedEval`.
    Detections of categories that the annotations do not know are ignored, as by COCO's server.
    Where the annotations have the category of any object, all detections have it: pycocotools'
    `useCats=0`.

    Args:
        truth: of `ground_truth`, for boundaries that of masks.
        kind: what of an entry is compared with the annotations.

    Raises:
        ConfigError: the evaluator is not installed, or does not know the kind.
    """
    whole = {"category_id": ANY_CATEGORY} if ANY_CATEGORY in truth.cats else {}
    found = _coco(
        truth.dataset["images"],
        truth.dataset["categories"],
        [{**entry, **whole, **_extent(entry, kind), "iscrowd": 0} for entry in entries],
    )
    if evaluator == "vernier" and is_federated(truth):
        evaluation: Any = FederatedEval(truth, found, kind)
    else:
        evaluation = coco_eval(evaluator, kind)(truth, found, kind)
        evaluation.params.maxDets = [_PER_CATEGORY]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def figures_of(evaluation: Any) -> Figures:
    """COCO's figures, from what `scored` accumulated.

    `ap` is the mean over the IoU thresholds .50, .55 ... .95 and over the categories; `ap50` and
    `ap75` are at one threshold; `ap_small` is of objects up to 32 * 32 pixels (`area` in the
    annotations), `ap_medium` from there to 96 * 96, `ap_large` above; `ap_rare`, `ap_common` and
    `ap_frequent` are of some of the categories, where the annotations sort them so.

    Curves: `ap_by_iou` at each of the ten thresholds; `precision_50` and `precision_75` at recalls
    of 0, .01 ... 1, the mean over the categories.
    """
    precision = evaluation.eval["precision"][..., 0]  # (thresholds, recalls, categories, sizes)
    return Figures(
        overall=overall(precision, columns_by_frequency(evaluation)),
        per_category={
            int(category_id): mean_defined(precision[:, :, column, 0])
            for column, category_id in enumerate(evaluation.params.catIds)
        },
        curves={
            "ap_by_iou": [mean_defined(at) for at in precision[..., 0]],
            "precision_50": [mean_defined(at) for at in precision[0, :, :, 0]],
            "precision_75": [mean_defined(at) for at in precision[5, :, :, 0]],
        },
    )


def is_federated(truth: COCO) -> bool:
    """Whether its images say which categories they were looked for."""
    return any(ABSENT in image for image in truth.dataset["images"])


def columns_by_frequency(evaluation: Any) -> dict[str, list[int]]:
    """Places of the categories that are rare, common and frequent; empty if nothing says so."""
    found: dict[str, list[int]] = {}
    for name, letter in (("ap_rare", "r"), ("ap_common", "c"), ("ap_frequent", "f")):
        columns = [
            column
            for column, category_id in enumerate(evaluation.params.catIds)
            if evaluation.cocoGt.cats[category_id].get("frequency") == letter
        ]
        if columns:
            found[name] = columns
    return found


def overall(
    precision: Float[np.ndarray, "T R K A"], columns: Mapping[str, Sequence[int]]
) -> dict[str, float | None]:
    """The six figures over all categories, .50 and .75 being the thresholds 0 and 5, and AP of
    some of the columns."""
    return {
        "ap": mean_defined(precision[:, :, :, 0]),
        "ap50": mean_defined(precision[0, :, :, 0]),
        "ap75": mean_defined(precision[5, :, :, 0]),
        "ap_small": mean_defined(precision[:, :, :, 1]),
        "ap_medium": mean_defined(precision[:, :, :, 2]),
        "ap_large": mean_defined(precision[:, :, :, 3]),
        **{name: mean_defined(precision[:, :, some, 0]) for name, some in columns.items()},
    }


def mean_defined(precision: Float[np.ndarray, "..."]) -> float | None:
    """The mean of what is defined; pycocotools marks the rest with -1."""
    defined = precision[precision > -1]
    return float(defined.mean()) if defined.size else None


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


def _extent(entry: Entry, kind: Kind) -> dict[str, Any]:
    """What sorts a detection into small, medium and large; for masks their boxes too, as COCO's
    own reader has them."""
    if kind == "bbox":
        return {"area": entry["bbox"][2] * entry["bbox"][3]}
    rle = entry["segmentation"]
    return {"area": float(mask_utils.area(rle)), "bbox": mask_utils.toBbox(rle).tolist()}
