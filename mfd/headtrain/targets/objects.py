"""The objects of one image, as its view shows them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int, Int64, UInt8

from mfd.coco import ANY_CATEGORY, Annotation, ImageEntry, mask_runs
from mfd.detectors import DetectorSpec
from mfd.headtrain.targets.crop import box_crop
from mfd.headtrain.targets.view_map import ViewMap

_MIN_SIDE = 1e-3  # pixels; a predicted box without area still has a frame


@dataclass(frozen=True)
class ImageObjects:
    """The n objects that a detector could find, with their masks.

    Attributes:
        size_hw: of the image file, pixels; boxes, areas and masks count these.
        view: how the detector saw the image.
        annotation_ids: of the objects.
        labels: logit column of each one's category; -1 in a data set without categories.
        boxes_xyxy: annotated boxes, cut to what the view shows.
        areas: of the masks, in what the view shows.
        runs: each whole mask, see `mfd.coco.mask_runs`.
    """

    size_hw: tuple[int, int]
    view: ViewMap
    annotation_ids: Int64[np.ndarray, " n"]
    labels: Int64[np.ndarray, " n"]
    boxes_xyxy: Float64[np.ndarray, "n 4"]
    areas: Float64[np.ndarray, " n"]
    runs: tuple[Int[np.ndarray, " _r"], ...]

    def __len__(self) -> int:
        return len(self.labels)

    def crops(
        self, objects: Int64[np.ndarray, " m"], boxes_xyxy: Float64[np.ndarray, "m 4"], size: int
    ) -> tuple[UInt8[np.ndarray, "m G G"], Float32[np.ndarray, " m"]]:
        """Masks of objects as boxes of the view see them, and the objects' areas per box area.

        255 where the object fills one of `size` x `size` cells. The area is that of the whole mask
        in the view: a share above 1 says that the object is larger than the box.

        Args:
            objects: which one each box is about.
            boxes_xyxy: 0 and 1 are the edges of the detector's input.
        """
        crops = np.zeros((len(objects), size, size), np.uint8)
        ratios = np.zeros(len(objects), np.float32)
        frames = self.view.to_image(boxes_xyxy).tolist()
        window = self.view.window_xyxy
        for row, (index, frame) in enumerate(zip(objects.tolist(), frames, strict=True)):
            left, top, right, bottom = frame
            right, bottom = max(right, left + _MIN_SIDE), max(bottom, top + _MIN_SIDE)
            frame = (left, top, right, bottom)
            cells = box_crop(self.runs[index], self.size_hw, frame, size, window)
            crops[row] = np.rint(cells * 255)[:, :: -1 if self.view.flips else 1]
            ratios[row] = self.areas[index] / ((right - left) * (bottom - top))
        return crops, ratios


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
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return TargetCounts(*(a + b for a, b in pairs))

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


def image_objects(
    annotations: Sequence[Annotation], image: ImageEntry, spec: DetectorSpec, view: ViewMap
) -> tuple[ImageObjects, TargetCounts]:
    """The objects with a box and a mask that the detector could find, and what was left out.

    A mask may turn out to be empty, or the view to show none of it: such an object has area 0.

    Args:
        annotations: of the image, crowd regions included.

    Raises:
        DataError: a malformed segmentation.
    """
    usable, counts = usable_objects(annotations, spec, view)
    found = [annotation for annotation, _ in usable]
    columns = [
        -1 if each.category_id == ANY_CATEGORY else spec.category_ids.index(each.category_id)
        for each in found
    ]
    runs = [mask_runs(annotation.segmentation, image.size_hw) for annotation in found]
    areas = [_area(mask, image.size_hw, view.window_xyxy) for mask in runs]
    objects = ImageObjects(
        size_hw=image.size_hw,
        view=view,
        annotation_ids=np.array([annotation.annotation_id for annotation in found], np.int64),
        labels=np.array(columns, np.int64),
        boxes_xyxy=np.array([box for _, box in usable], np.float64).reshape(-1, 4),
        areas=np.array(areas, np.float64),
        runs=tuple(runs),
    )
    return objects, counts


BoxedObjects = list[tuple[Annotation, tuple[float, float, float, float]]]
"""Objects, and what the view shows of their boxes, pixels of the image file."""


def usable_objects(
    annotations: Sequence[Annotation], spec: DetectorSpec, view: ViewMap
) -> tuple[BoxedObjects, TargetCounts]:
    """The objects that can be matched, with their boxes cut to what the view shows, in pixels."""
    known, counts = known_objects(annotations, spec, view)
    usable = [(annotation, box_xyxy) for annotation, box_xyxy in known if annotation.has_mask]
    return usable, counts + TargetCounts(no_mask=len(known) - len(usable))


def known_objects(
    annotations: Sequence[Annotation], spec: DetectorSpec, view: ViewMap
) -> tuple[BoxedObjects, TargetCounts]:
    """The objects that the detector could find, with a mask or without, their boxes likewise."""
    known, counts = [], TargetCounts()
    from_left, from_top, to_right, to_bottom = view.window_xyxy
    for annotation in annotations:
        left, top, wide, high = annotation.bbox_xywh
        right, bottom = min(left + wide, to_right), min(top + high, to_bottom)
        left, top = max(left, from_left), max(top, from_top)
        if annotation.iscrowd:
            counts += TargetCounts(crowd=1)
        elif annotation.category_id not in (*spec.category_ids, ANY_CATEGORY):
            counts += TargetCounts(unknown_category=1)
        elif left >= right or top >= bottom:
            counts += TargetCounts(no_box=1)
        else:
            known.append((annotation, (left, top, right, bottom)))
    return known, counts


def _area(
    runs: Int64[np.ndarray, " r"],
    size_hw: tuple[int, int],
    window_xyxy: tuple[float, float, float, float],
) -> float:
    """Pixels of the mask inside the window."""
    height, width = size_hw
    if window_xyxy == (0, 0, width, height):
        return float(runs[1::2].sum())
    left, top, right, bottom = window_xyxy
    share = box_crop(runs, size_hw, window_xyxy, 1).item()
    return share * (right - left) * (bottom - top)
