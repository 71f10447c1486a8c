"""One image's targets: the matched queries, and each object as its query's box sees it."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mfd.coco import Annotation, ImageEntry, decode_segmentation
from mfd.detectors import DetectorSpec
from mfd.errors import StoreError
from mfd.headtrain.targets.crop import box_crop
from mfd.headtrain.targets.match import match
from mfd.nn import cxcywh_to_xyxy, xyxy_to_cxcywh

_MIN_SIDE = 1e-3  # pixels; a predicted box without area still has a frame


@dataclass
class MatchedObject:
    """A query with its object; the fields are a row of `ImageTargets`."""

    query_index: int
    label: int
    crop: UInt8[np.ndarray, "G G"]
    area_ratio: float
    annotation_id: int


@dataclass(frozen=True)
class TargetCounts:
    """What became of the annotations.

    Attributes:
        matched: objects with their own query, a box and a mask.
        crowd: crowd regions, which are never matched.
        unknown_category: objects of categories that the detector has no logit for.
        no_box: objects whose box has no area inside the image.
        no_query: objects beyond the number of queries.
        no_mask: objects without a mask, and matched ones whose mask is empty.
    """

    matched: int = 0
    crowd: int = 0
    unknown_category: int = 0
    no_box: int = 0
    no_query: int = 0
    no_mask: int = 0

    def __add__(self, other: "TargetCounts") -> "TargetCounts":
        return TargetCounts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __str__(self) -> str:
        left_out = {
            "crowd regions": self.crowd,
            "of categories the detector does not know": self.unknown_category,
            "without a box in the image": self.no_box,
            "beyond the number of queries": self.no_query,
            "without a mask": self.no_mask,
        }
        details = ", ".join(f"{count} {why}" for why, count in left_out.items() if count)
        return f"{self.matched} objects matched" + (f"; left out: {details}" if details else "")


def matched_objects(
    logits: Float[Tensor, "Q K"],
    boxes_cxcywh: Float[Tensor, "Q 4"],
    annotations: Sequence[Annotation],
    image: ImageEntry,
    spec: DetectorSpec,
    crop_size: int,
) -> tuple[list[MatchedObject], TargetCounts]:
    """The matched queries of an image, ascending, and what became of its annotations.

    Args:
        logits: of its queries, as stored.
        boxes_cxcywh: of its queries, 0 and 1 being the edges of the image.
        annotations: of the image, crowd regions included.
        crop_size: G.

    Raises:
        StoreError: logits or boxes that are not finite.
        DataError: a malformed segmentation.
    """
    if not (logits.isfinite().all() and boxes_cxcywh.isfinite().all()):
        raise StoreError(
            f"the detector's output for image {image.image_id} ({image.file_name}) holds NaN or "
            "infinity; verify the store or extract it again"
        )
    usable, counts = usable_objects(annotations, image, spec)
    height, width = image.size_hw
    size = torch.tensor([width, height, width, height])
    objects = [annotation for annotation, _ in usable]
    columns = [spec.category_ids.index(annotation.category_id) for annotation in objects]
    corners = torch.tensor([box for _, box in usable]).reshape(-1, 4) / size
    queries, order = match(
        logits,
        boxes_cxcywh,
        torch.tensor(columns, dtype=torch.long),
        xyxy_to_cxcywh(corners),
        spec,
    )
    frames = (cxcywh_to_xyxy(boxes_cxcywh.double()) * size).tolist()
    rows = []
    for query, index in zip(queries.tolist(), order.tolist(), strict=True):
        annotation = objects[index]
        mask = decode_segmentation(annotation.segmentation, image.size_hw)
        if (area := np.count_nonzero(mask)) == 0:
            continue
        left, top, right, bottom = frames[query]
        right, bottom = max(right, left + _MIN_SIDE), max(bottom, top + _MIN_SIDE)
        crop = box_crop(mask, (left, top, right, bottom), crop_size)
        rows.append(
            MatchedObject(
                query_index=query,
                label=columns[index],
                crop=np.rint(crop * 255).astype(np.uint8),
                area_ratio=area / ((right - left) * (bottom - top)),
                annotation_id=annotation.annotation_id,
            )
        )
    return rows, counts + TargetCounts(
        matched=len(rows),
        no_query=len(objects) - len(order),
        no_mask=len(order) - len(rows),
    )


def usable_objects(
    annotations: Sequence[Annotation], image: ImageEntry, spec: DetectorSpec
) -> tuple[list[tuple[Annotation, tuple[float, float, float, float]]], TargetCounts]:
    """The objects that can be matched, with their boxes' corners cut to the image, in pixels."""
    height, width = image.size_hw
    usable, counts = [], TargetCounts()
    for annotation in annotations:
        left, top, wide, high = annotation.bbox_xywh
        box_xyxy = (max(left, 0), max(top, 0), min(left + wide, width), min(top + high, height))
        if annotation.iscrowd:
            counts += TargetCounts(crowd=1)
        elif annotation.category_id not in spec.category_ids:
            counts += TargetCounts(unknown_category=1)
        elif box_xyxy[0] >= box_xyxy[2] or box_xyxy[1] >= box_xyxy[3]:
            counts += TargetCounts(no_box=1)
        elif not annotation.has_mask:
            counts += TargetCounts(no_mask=1)
        else:
            usable.append((annotation, box_xyxy))
    return usable, counts
