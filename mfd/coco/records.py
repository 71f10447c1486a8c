"""One image, category or annotation of a COCO file, each field checked."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from pycocotools import mask as coco_mask

from mfd.coco.segmentation import check_segmentation, encode_segmentation
from mfd.errors import DataError

_LARGEST = 2**53  # beyond it, not every whole number is a float


@dataclass(frozen=True)
class ImageEntry:
    """An image: `file_name` is relative to the image folder, `size_hw` in pixels as stored."""

    image_id: int
    file_name: str
    size_hw: tuple[int, int]


@dataclass(frozen=True)
class Annotation:
    """An object: `bbox_xywh` is (left, top, width, height) in pixels, `segmentation` as in the
    file, for `encode_segmentation`; `area` in pixels is what COCO sorts objects by."""

    annotation_id: int
    image_id: int
    category_id: int
    bbox_xywh: tuple[float, float, float, float]
    area: float
    iscrowd: bool
    segmentation: Any


def integer(record: Mapping[str, Any], key: str, owner: str) -> int:
    """The whole number under `key`; `owner` is what an error calls the record.

    Raises:
        DataError: another type, or a number that no 64-bit integer or float can hold exactly.
    """
    if key not in record:
        raise DataError(f"{owner} has no {key!r}, expected a whole number")
    value = record[key]
    if type(value) is not int or abs(value) >= _LARGEST:  # bool is no id
        raise DataError(f"{owner} has {key!r} {value!r}, expected a whole number")
    return value


def parse_category(record: Mapping[str, Any]) -> tuple[int, str]:
    """Category id and name; the id stands for a missing name."""
    category_id = integer(record, "id", "a category")
    return category_id, str(record.get("name", category_id))


def parse_image(record: Mapping[str, Any], real_dir: Path) -> tuple[int, ImageEntry]:
    """Image id and entry.

    Args:
        real_dir: the image folder, free of symbolic links.

    Raises:
        DataError: a missing field, or a file name that leads out of the folder.
    """
    image_id = integer(record, "id", "an image")
    owner = f"image {image_id}"
    size_hw = (integer(record, "height", owner), integer(record, "width", owner))
    if min(size_hw) < 1:
        raise DataError(f"{owner} has height and width {size_hw}, expected at least 1")
    file_name = record.get("file_name")
    if not isinstance(file_name, str) or not file_name or "\0" in file_name:
        raise DataError(f"{owner} has file_name {file_name!r}, expected a path")
    if not _stays_inside(file_name, real_dir):
        raise DataError(
            f"{owner} has file_name {file_name!r}, which leaves the image folder {real_dir}; "
            "expected a path inside it"
        )
    return image_id, ImageEntry(image_id, file_name, size_hw)


def _stays_inside(file_name: str, real_dir: Path) -> bool:
    posix, windows = PurePosixPath(file_name), PureWindowsPath(file_name)
    if posix.is_absolute() or windows.anchor or ".." in (*posix.parts, *windows.parts):
        return False
    real_file = os.path.realpath(real_dir / file_name)  # follows links inside the folder
    return real_file.startswith(os.path.join(real_dir, ""))


def parse_annotation(
    record: Mapping[str, Any],
    images: Mapping[int, ImageEntry],
    categories: Mapping[int, str],
    need_masks: bool,
) -> Annotation:
    """The annotation, its references resolved and its numbers finite.

    Raises:
        DataError: what is wrong; the caller names the annotation.
    """
    image_id = integer(record, "image_id", "it")
    if image_id not in images:
        raise DataError(f"its image {image_id} is not among the images")
    category_id = integer(record, "category_id", "it")
    if category_id not in categories:
        raise DataError(f"its category {category_id} is not among the categories")
    if "bbox" not in record:
        raise DataError("it has no 'bbox', expected [left, top, width, height] in pixels")
    box = record["bbox"]
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_finite, box)):
        raise DataError(f"its bbox is {box!r}, expected [left, top, width, height] in pixels")
    segmentation = record.get("segmentation")
    if need_masks and segmentation:
        check_segmentation(segmentation, images[image_id].size_hw)
    area = record.get("area")
    if area is None:  # some tools leave it out
        has_mask = need_masks and segmentation
        area = _mask_area(segmentation, images[image_id]) if has_mask else box[2] * box[3]
    if not _is_finite(area):
        raise DataError(f"its area is {area!r}, expected a number of pixels")
    if (iscrowd := record.get("iscrowd", 0)) not in (0, 1):
        raise DataError(f"its iscrowd is {iscrowd!r}, expected 0 or 1")
    bbox_xywh = (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
    return Annotation(
        annotation_id=record["id"],
        image_id=image_id,
        category_id=category_id,
        bbox_xywh=bbox_xywh,
        area=float(area),
        iscrowd=bool(iscrowd),
        segmentation=segmentation,
    )


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < _LARGEST  # NaN is below nothing


def _mask_area(segmentation: Any, image: ImageEntry) -> float:
    return float(coco_mask.area(encode_segmentation(segmentation, image.size_hw)))


def nothing_to_learn(annotation: Annotation, image: ImageEntry, need_masks: bool) -> str:
    """Why a training has to set the annotation aside, or an empty text."""
    left, top, width, height = annotation.bbox_xywh
    if width <= 0 or height <= 0:
        return f"its box is {width:g} pixels wide and {height:g} high"
    image_height, image_width = image.size_hw
    if left >= image_width or top >= image_height or left + width <= 0 or top + height <= 0:
        return "its box lies outside of the image"
    segmentation = annotation.segmentation
    if not need_masks:
        return ""
    if not segmentation:
        return "it has no segmentation, which is what a head learns from"
    if isinstance(segmentation, list):
        if all(len(polygon) < 6 for polygon in segmentation):
            return "its polygons have fewer than three points"
    elif _mask_area(segmentation, image) == 0:
        return "its mask is empty"
    return ""
