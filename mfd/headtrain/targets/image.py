"""One image's targets: its objects, and the query that each of them was matched with."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from mfd.coco import Annotation, ImageEntry
from mfd.detectors import DetectorSpec
from mfd.errors import StoreError
from mfd.headtrain.targets.match import match
from mfd.headtrain.targets.objects import ImageObjects, TargetCounts, image_objects
from mfd.headtrain.targets.view_map import ViewMap
from mfd.nn import cxcywh_to_xyxy, pairwise_iou, xyxy_to_cxcywh


@dataclass(frozen=True)
class ImageTargets:
    """All objects of one image that have a mask, and its matched pairs of query and object.

    Attributes:
        objects: matched or not.
        query_index: of each pair, ascending.
        object_index: of each pair, a row of `objects`.
        pair_iou: of the query's box with the object's.
    """

    objects: ImageObjects
    query_index: Int64[np.ndarray, " p"]
    object_index: Int64[np.ndarray, " p"]
    pair_iou: Float32[np.ndarray, " p"]


def image_targets(
    logits: Float[Tensor, "Q K"],
    boxes_cxcywh: Float[Tensor, "Q 4"],
    annotations: Sequence[Annotation],
    image: ImageEntry,
    spec: DetectorSpec,
    view: ViewMap | None = None,
) -> tuple[ImageTargets, TargetCounts]:
    """The targets of an image, and what became of its annotations.

    Args:
        logits: of its queries, as stored.
        boxes_cxcywh: of its queries, 0 and 1 being the edges of the detector's input.
        annotations: of the image, crowd regions included.
        view: how the detector saw the image; None: whole and upright.

    Raises:
        StoreError: logits or boxes that are not finite.
        DataError: a malformed segmentation.
    """
    if not (logits.isfinite().all() and boxes_cxcywh.isfinite().all()):
        raise StoreError(
            f"the detector's output for image {image.image_id} ({image.file_name}) holds NaN or "
            "infinity; verify the store or extract it again"
        )
    view = view or ViewMap.whole(image.size_hw)
    objects, counts = image_objects(annotations, image, spec, view)
    corners = view.to_view(torch.from_numpy(objects.boxes_xyxy).float())
    labels = torch.from_numpy(objects.labels)
    query_index, object_index = match(logits, boxes_cxcywh, labels, xyxy_to_cxcywh(corners), spec)
    iou = pairwise_iou(cxcywh_to_xyxy(boxes_cxcywh.double()), corners.double())
    has_mask = objects.areas > 0
    queries, pairs = query_index.numpy(), object_index.numpy()
    counts += TargetCounts(
        matched=int(has_mask[pairs].sum()),
        no_query=len(objects) - len(pairs),
        no_mask=int((~has_mask[pairs]).sum()),
    )
    pair_iou = iou.numpy()[queries, pairs].astype(np.float32)
    kept = has_mask[pairs]
    new_row = np.cumsum(has_mask) - 1
    targets = ImageTargets(
        _only(objects, has_mask), queries[kept], new_row[pairs[kept]], pair_iou[kept]
    )
    return targets, counts


def _only(objects: ImageObjects, kept: np.ndarray) -> ImageObjects:
    return replace(
        objects,
        annotation_ids=objects.annotation_ids[kept],
        labels=objects.labels[kept],
        boxes_xyxy=objects.boxes_xyxy[kept],
        areas=objects.areas[kept],
        runs=tuple(runs for runs, keep in zip(objects.runs, kept, strict=True) if keep),
    )
