"""What a detector finds on a few images: whether it, its preprocessing and the data agree."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask

from mfd.coco import Annotation, CocoDataset, sample_evenly
from mfd.detectors import Detector, detect
from mfd.headtrain import Candidates, select_detections
from mfd.images import load_image

NUM_IMAGES = 8
_MIN_IOU = 0.5


@dataclass(frozen=True)
class DetectionCheck:
    """How many objects a detector finds, among as many detections as its own evaluation keeps.

    Attributes:
        images: looked at.
        objects: annotated on them, without crowd regions.
        recalled: that a box of whatever category covers with IoU 0.5.
        classified: whose best such box has their category.
    """

    images: int
    objects: int
    recalled: int
    classified: int


def check_detections(
    detector: Detector, dataset: CocoDataset, num_images: int = NUM_IMAGES
) -> DetectionCheck:
    """What the detector finds on images with objects, taken from the whole of the data set.

    Raises:
        DataError: an image cannot be used.
        DetectorError: the detector breaks its contract.
    """
    annotated = [entry for entry in dataset.images if entry.image_id in dataset.annotations]
    chosen = sample_evenly(annotated, num_images)
    counts = np.zeros(3, int)
    for entry in chosen:
        image = load_image(dataset.path(entry), detector.spec.preprocessing, entry.size_hw)
        (features,) = detect(detector, [image], [entry.image_id], with_c1=False)
        found = select_detections(features.cpu(), detector.spec, detector.spec.max_detections)
        objects = [a for a in dataset.annotations[entry.image_id] if not a.iscrowd]
        counts += _count(found, objects)
    return DetectionCheck(len(chosen), *counts.tolist())


def _count(found: Candidates, objects: Sequence[Annotation]) -> tuple[int, int, int]:
    """Objects, and how many of them are recalled and classified."""
    if not objects:
        return 0, 0, 0
    boxes_xywh = found.boxes_xyxy.numpy().copy()
    boxes_xywh[:, 2:] -= boxes_xywh[:, :2]
    truth_xywh = np.array([a.bbox_xywh for a in objects])
    iou = coco_mask.iou(boxes_xywh, truth_xywh, np.zeros(len(objects), np.uint8))
    covers = np.asarray(iou) >= _MIN_IOU  # (detections, objects), the best detection first
    recalled = covers.any(0)
    category_ids = np.array([a.category_id for a in objects])
    classified = recalled & (found.category_ids.numpy()[covers.argmax(0)] == category_ids)
    return len(objects), int(recalled.sum()), int(classified.sum())
