"""All annotations of a data set as columns; an image's are made into objects when asked for."""

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64, Shaped

from mfd.coco.records import Annotation
from mfd.coco.segmentation import encode_checked


@dataclass(frozen=True)
class Ragged:
    """Rows of different lengths, one behind the other.

    Attributes:
        values: of all rows.
        bounds: where each row begins, and the last one ends.
    """

    values: Shaped[np.ndarray, " V"]
    bounds: Int64[np.ndarray, " N+1"]

    @property
    def lengths(self) -> Int64[np.ndarray, " N"]:
        """Of the rows."""
        return np.diff(self.bounds)

    def row(self, index: int) -> Shaped[np.ndarray, " _n"]:
        """One of them."""
        return self.values[self.bounds[index] : self.bounds[index + 1]]

    def __getitem__(self, rows: Int64[np.ndarray, " n"]) -> "Ragged":
        """Some of them, in this order."""
        lengths = self.lengths[rows]
        bounds = np.concatenate(([0], np.cumsum(lengths)))
        places = np.arange(bounds[-1]) + np.repeat(self.bounds[rows] - bounds[:-1], lengths)
        return Ragged(self.values[places], bounds)


@dataclass(frozen=True, eq=False)
class Annotations(Mapping[int, tuple[Annotation, ...]]):
    """The annotations of each image id that has any, kept as columns in the order of the file.

    COCO's 860,000 take 0.3 GB so, and 2 GB as Python objects.

    Attributes:
        ids: of the annotations.
        image_ids, category_ids, boxes_xywh, areas, is_crowd: as `Annotation` has them.
        rle_hw: height and width of a mask that is an RLE, else 0.
        rle_counts: of these, compressed; empty rows elsewhere.
        corners: x and y in turn of all polygons of an annotation.
        polygons: how many of these numbers each polygon has.
    """

    ids: Int64[np.ndarray, " N"]
    image_ids: Int64[np.ndarray, " N"]
    category_ids: Int64[np.ndarray, " N"]
    boxes_xywh: Float64[np.ndarray, "N 4"]
    areas: Float64[np.ndarray, " N"]
    is_crowd: Bool[np.ndarray, " N"]
    rle_hw: Int32[np.ndarray, "N 2"]
    rle_counts: Ragged
    corners: Ragged
    polygons: Ragged

    @classmethod
    def of(cls, found: Iterable[Annotation] = ()) -> "Annotations":
        """The columns of annotations whose segmentations were checked."""
        ids, image_ids, category_ids = array("q"), array("q"), array("q")
        boxes, areas, crowds, rle_hw = array("d"), array("d"), array("b"), array("i")
        counts, corners, polygons = bytearray(), array("d"), array("i")
        bounds = {id(values): array("q", [0]) for values in (counts, corners, polygons)}
        for each in found:
            ids.append(each.annotation_id)
            image_ids.append(each.image_id)
            category_ids.append(each.category_id)
            boxes.extend(each.bbox_xywh)
            areas.append(each.area)
            crowds.append(each.iscrowd)
            segmentation, size_hw = each.segmentation or (), (0, 0)
            if isinstance(segmentation, Mapping):
                size_hw = tuple(segmentation["size"])
                counts.extend(encode_checked(segmentation, size_hw)["counts"])
                segmentation = ()
            rle_hw.extend(size_hw)
            for polygon in segmentation:
                corners.extend(polygon)
                polygons.append(len(polygon))
            for values in (counts, corners, polygons):
                bounds[id(values)].append(len(values))

        def ragged(values: Any, dtype: type) -> Ragged:
            return Ragged(np.frombuffer(values, dtype), np.frombuffer(bounds[id(values)], np.int64))

        return cls(
            ids=np.frombuffer(ids, np.int64),
            image_ids=np.frombuffer(image_ids, np.int64),
            category_ids=np.frombuffer(category_ids, np.int64),
            boxes_xywh=np.frombuffer(boxes, np.float64).reshape(-1, 4),
            areas=np.frombuffer(areas, np.float64),
            is_crowd=np.frombuffer(crowds, bool),
            rle_hw=np.frombuffer(rle_hw, np.int32).reshape(-1, 2),
            rle_counts=ragged(counts, np.uint8),
            corners=ragged(corners, np.float64),
            polygons=ragged(polygons, np.int32),
        )

    @property
    def has_mask(self) -> Bool[np.ndarray, " N"]:
        """Whether a head can learn from it."""
        return (self.rle_counts.lengths > 0) | (self.polygons.lengths > 0)

    def take(self, rows: Int64[np.ndarray, " n"]) -> "Annotations":
        """These rows."""
        return Annotations(*(getattr(self, field.name)[rows] for field in fields(self)))

    def of_images(self, image_ids: Collection[int]) -> "Annotations":
        """Those of these images."""
        kept = np.isin(self.image_ids, np.fromiter(image_ids, np.int64, len(image_ids)))
        return self if kept.all() else self.take(np.flatnonzero(kept))

    def renumbered(self, new_ids: Mapping[int, int]) -> "Annotations":
        """The same with other category ids; those that are not listed stay."""
        known, place = np.unique(self.category_ids, return_inverse=True)
        new = np.array([new_ids.get(key, key) for key in known.tolist()], np.int64)
        return replace(self, category_ids=new[place])

    def name(self, row: int) -> str:
        """The annotation in words."""
        return f"annotation {self.ids[row]} of image {self.image_ids[row]}"

    def segmentation(self, row: int) -> Any:
        """A mask for `encode_segmentation`: polygons, an RLE, or None."""
        if len(counts := self.rle_counts.row(row)):
            return {"size": self.rle_hw[row].tolist(), "counts": counts.tobytes()}
        if not len(lengths := self.polygons.row(row)):
            return None
        corners, ends = self.corners.row(row).tolist(), np.cumsum(lengths).tolist()
        return [corners[a:b] for a, b in zip([0, *ends], ends, strict=False)]

    def __getitem__(self, image_id: int) -> tuple[Annotation, ...]:
        start, stop = self._places[image_id]
        return tuple(map(self._annotation, self._by_image[start:stop].tolist()))

    def __iter__(self) -> Iterator[int]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._places

    def _annotation(self, row: int) -> Annotation:
        left, top, width, height = self.boxes_xywh[row].tolist()
        return Annotation(
            annotation_id=int(self.ids[row]),
            image_id=int(self.image_ids[row]),
            category_id=int(self.category_ids[row]),
            bbox_xywh=(left, top, width, height),
            area=float(self.areas[row]),
            iscrowd=bool(self.is_crowd[row]),
            segmentation=self.segmentation(row),
        )

    @cached_property
    def _by_image(self) -> Int64[np.ndarray, " N"]:
        """The rows, those of an image beside each other."""
        return np.argsort(self.image_ids, kind="stable")

    @cached_property
    def _places(self) -> dict[int, tuple[int, int]]:
        """Where those of each image begin and end in `_by_image`; images as the file has them."""
        found, starts = np.unique(self.image_ids[self._by_image], return_index=True)
        stops = np.append(starts[1:], len(self.ids))
        order = np.argsort(self._by_image[starts]) if len(found) else starts
        columns = (found[order], starts[order], stops[order])
        ids, begin, end = (column.tolist() for column in columns)
        return dict(zip(ids, zip(begin, end, strict=True), strict=True))
