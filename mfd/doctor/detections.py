"""What a detector finds on a few images: whether it, its preprocessing and the data agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from jaxtyping import Bool, Float, Int64
from pycocotools import mask as coco_mask

from mfd.coco import CocoDataset, sample_evenly
from mfd.detectors import Detector, detect
from mfd.headtrain import select_detections
from mfd.images import load_image

NUM_IMAGES = 8
_MIN_IOU = 0.5
_ENOUGH = 10  # objects, of which fewer may be missed by bad luck
_MIN_LEADING = 0.25
_DEVIATIONS = 2.0


@dataclass(frozen=True)
class DetectionCheck:
    """How many objects a detector finds, among as many detections as its own evaluation keeps.

    Attributes:
        images: looked at.
        objects: annotated on them, without crowd regions.
        recalled: that a box of whatever category covers with IoU 0.5.
        classified: whose best such box has their category.
        leading: that the best boxes cover, as many as the image has objects.
        by_chance: that the boxes of another of the images would cover, on average.
    """

    images: int
    objects: int
    recalled: int
    classified: int
    leading: int = 0
    by_chance: float = 0.0

    @property
    def is_chance(self) -> bool:
        """Whether the boxes have nothing to do with their images, as without trained weights.

        They cover no more than those of other images would, within two standard deviations, and
        scores do not say which of them do. Objects that all lie in one place show only the first.
        """
        if self.objects < _ENOUGH:
            return False
        deviation = sqrt(self.by_chance * (1 - self.by_chance / self.objects))
        few = self.recalled <= self.by_chance + _DEVIATIONS * deviation
        return few and self.leading < _MIN_LEADING * self.objects


@dataclass(frozen=True)
class _Seen:
    """An image's detections, the best first, and its objects; boxes as shares of the image."""

    found_xywh: Float[np.ndarray, "n 4"]
    found_categories: Int64[np.ndarray, " n"]
    objects_xywh: Float[np.ndarray, "m 4"]
    object_categories: Int64[np.ndarray, " m"]

    def covered(self, other: "_Seen") -> Bool[np.ndarray, "n m"]:
        """Which of the detections cover which objects of an image, this or another."""
        objects = other.objects_xywh
        if not len(objects):
            return np.zeros((len(self.found_xywh), 0), bool)
        iou = coco_mask.iou(self.found_xywh, objects, np.zeros(len(objects), np.uint8))
        return np.asarray(iou).reshape(len(self.found_xywh), len(objects)) >= _MIN_IOU


def check_detections(
    detector: Detector, dataset: CocoDataset, num_images: int = NUM_IMAGES
) -> DetectionCheck:
    """What the detector finds on images with objects, taken from the whole of the data set.

    Raises:
        DataError: an image cannot be used.
        DetectorError: the detector breaks its contract.
    """
    annotated = [entry for entry in dataset.images if entry.image_id in dataset.annotations]
    if not annotated:
        return DetectionCheck(0, 0, 0, 0)
    seen = []
    for entry in sample_evenly(annotated, num_images):
        image = load_image(dataset.path(entry), detector.spec.preprocessing, entry.size_hw)
        (features,) = detect(detector, [image], [entry.image_id], with_c1=False)
        found = select_detections(features.cpu(), detector.spec, detector.spec.max_detections)
        truth = [a for a in dataset.annotations[entry.image_id] if not a.iscrowd]
        found_xywh = found.boxes_xyxy.numpy().astype(float)
        found_xywh[:, 2:] -= found_xywh[:, :2]
        size_whwh = np.array([*entry.size_hw[::-1]] * 2, float)
        seen.append(
            _Seen(
                found_xywh / size_whwh,
                found.category_ids.numpy(),
                np.array([a.bbox_xywh for a in truth], float).reshape(-1, 4) / size_whwh,
                np.array([a.category_id for a in truth], np.int64),
            )
        )
    objects, recalled, classified, leading = map(sum, zip(*map(_count, seen), strict=True))
    return DetectionCheck(len(seen), objects, recalled, classified, leading, _by_chance(seen))


def _count(seen: _Seen) -> tuple[int, int, int, int]:
    """Objects, and how many of them are recalled, classified and recalled by the best boxes."""
    covers = seen.covered(seen)
    count = covers.shape[1]
    if not covers.size:
        return count, 0, 0, 0
    recalled, leading = covers.any(0), covers[:count].any(0)
    named = seen.found_categories[covers.argmax(0)] == seen.object_categories
    return count, int(recalled.sum()), int((recalled & named).sum()), int(leading.sum())


def _by_chance(seen: Sequence[_Seen]) -> float:
    """Objects that the boxes of another image cover, on average over the others."""
    pairs = [(found, image) for found in seen for image in seen if found is not image]
    covered = sum(int(found.covered(image).any(0).sum()) for found, image in pairs)
    return covered / max(len(seen) - 1, 1)
