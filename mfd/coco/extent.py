"""The extent and area of every object's mask, many objects at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from jaxtyping import Bool, Float64
from pycocotools import mask as coco_mask

from mfd.coco.records import Annotation, ImageEntry
from mfd.coco.segmentation import encode_checked

_OBJECTS_AT_ONCE = 20_000  # COCO's 860,000 have 40 million coordinates


@dataclass(frozen=True)
class Objects:
    """All annotations as columns, crowd regions included.

    Attributes:
        annotations: row by row.
        written: the four numbers of the boxes as annotated.
        extents_xyxy: corners of the smallest box around the mask; NaN without a mask.
        areas: as annotated, pixels.
        mask_areas: of the mask, pixels; NaN without. Of polygons, the sum of their areas.
        sides: width and height of the image.
        is_crowd: crowd regions.
    """

    annotations: Sequence[Annotation]
    written: Float64[np.ndarray, "N 4"]
    extents_xyxy: Float64[np.ndarray, "N 4"]
    areas: Float64[np.ndarray, " N"]
    mask_areas: Float64[np.ndarray, " N"]
    sides: Float64[np.ndarray, "N 2"]
    is_crowd: Bool[np.ndarray, " N"]

    @property
    def boxes_xyxy(self) -> Float64[np.ndarray, "N 4"]:
        """Corners of the boxes, pixels."""
        return np.concatenate((self.written[:, :2], self.written[:, :2] + self.written[:, 2:]), 1)

    @property
    def has_mask(self) -> Bool[np.ndarray, " N"]:
        """Whether there is a mask to compare the box with."""
        return ~np.isnan(self.mask_areas)


def measure(annotations: Sequence[Annotation], images: Sequence[ImageEntry]) -> Objects:
    """The columns of the annotations."""
    sizes = {image.image_id: image.size_hw for image in images}
    extents = np.full((len(annotations), 4), np.nan)
    areas = np.full(len(annotations), np.nan)
    polygons = [i for i, a in enumerate(annotations) if isinstance(a.segmentation, list)]
    for start in range(0, len(polygons), _OBJECTS_AT_ONCE):
        rows = polygons[start : start + _OBJECTS_AT_ONCE]
        extents[rows], areas[rows] = _of_polygons([annotations[i].segmentation for i in rows])
    encoded = [i for i, a in enumerate(annotations) if isinstance(a.segmentation, dict)]
    if encoded:
        rles = [
            encode_checked(annotations[i].segmentation, sizes[annotations[i].image_id])
            for i in encoded
        ]
        extents[encoded] = coco_mask.toBbox(rles)
        extents[encoded, 2:] += extents[encoded, :2]
        areas[encoded] = [coco_mask.area(rle) for rle in rles]  # a list of 256 is too long for it
    return Objects(
        annotations=annotations,
        written=np.array([a.bbox_xywh for a in annotations], np.float64).reshape(-1, 4),
        extents_xyxy=extents,
        areas=np.array([a.area for a in annotations], np.float64),
        mask_areas=areas,
        sides=np.array([sizes[a.image_id][::-1] for a in annotations], np.float64).reshape(-1, 2),
        is_crowd=np.array([a.iscrowd for a in annotations], bool),
    )


def _of_polygons(
    objects: Sequence[list[list[float]]],
) -> tuple[Float64[np.ndarray, "n 4"], Float64[np.ndarray, " n"]]:
    """Extent and area of each object, by the shoelace formula."""
    polygons = list(chain.from_iterable(objects))
    lengths = np.array([len(polygon) // 2 for polygon in polygons])
    points = np.fromiter(chain.from_iterable(polygons), np.float64, 2 * lengths.sum())
    x, y = points[::2], points[1::2]
    first = np.cumsum(lengths) - lengths
    following = np.arange(1, len(x) + 1)
    following[first + lengths - 1] = first
    twice = np.abs(np.add.reduceat(x * y[following] - x[following] * y, first))
    parts = np.array([len(polygons) for polygons in objects])
    first_part = np.cumsum(parts) - parts
    first_point = first[first_part]
    corners = [
        function.reduceat(values, first_point)
        for function in (np.minimum, np.maximum)
        for values in (x, y)
    ]
    return np.stack(corners, 1), np.add.reduceat(twice, first_part) / 2
