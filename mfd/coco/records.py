"""One image, category or annotation of a COCO file, each field checked."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from pycocotools import mask as coco_mask

from mfd.coco.findings import RecordError
from mfd.coco.segmentation import MAX_MASK, encode_checked, parse_segmentation
from mfd.text import short

_MAX_ID = 2**63  # stores keep ids as signed 64-bit integers
_MAX_PATH = 4096  # characters; Linux takes no longer ones
_MAX_NUMBER = 2**53  # beyond it, not every whole number is a float


@dataclass(frozen=True)
class ImageEntry:
    """An image: `file_name` is relative to the image folder, `size_hw` in pixels as stored."""

    image_id: int
    file_name: str
    size_hw: tuple[int, int]


@dataclass(frozen=True)
class Annotation:
    """An object.

    Attributes:
        bbox_xywh: (left, top, width, height) in pixels.
        area: pixels; what COCO sorts objects by.
        segmentation: for `encode_segmentation`; None if the file has none that encloses a pixel.
    """

    annotation_id: int
    image_id: int
    category_id: int
    bbox_xywh: tuple[float, float, float, float]
    area: float
    iscrowd: bool
    segmentation: Any

    @property
    def has_mask(self) -> bool:
        """Whether a head can learn from it; without, it still counts for box AP."""
        return bool(self.segmentation)


def integer(record: Mapping[str, Any], key: str, owner: str) -> int:
    """The whole number under `key`; `owner` is what an error calls the record.

    Raises:
        RecordError: another type, or a number beyond 64 bits.
    """
    if key not in record:
        raise RecordError(f"no {key!r}", f"{owner} has no {key!r}, expected a whole number")
    value = record[key]
    if type(value) is float and value.is_integer() and abs(value) < _MAX_NUMBER:
        value = int(value)  # tables with a gap in a column write all its numbers so
    if type(value) is not int:  # bool is no id
        raise RecordError(
            f"{key!r} that is no whole number",
            f"{owner} has {key!r} {short(value)}, expected a whole number",
        )
    if abs(value) >= _MAX_ID:
        raise RecordError(
            f"{key!r} that is too large",
            f"{owner} has {key!r} {short(value)}, expected a whole number below 2**63",
        )
    return value


def parse_category(record: Mapping[str, Any]) -> tuple[int, str]:
    """Category id and name; the id stands for a missing name."""
    category_id = integer(record, "id", "a category")
    name = record.get("name", category_id)
    if not isinstance(name, str):
        return category_id, short(name)
    return category_id, name.encode("utf-8", "backslashreplace").decode()


def parse_image(record: Mapping[str, Any], images_dir: Path) -> tuple[int, ImageEntry]:
    """Image id and entry.

    Args:
        images_dir: absolute.

    Raises:
        RecordError: a missing field, or a file name that leads out of the folder.
    """
    image_id = integer(record, "id", "an image")
    owner = f"image {image_id}"
    size_hw = (integer(record, "height", owner), integer(record, "width", owner))
    if min(size_hw) < 1 or size_hw[0] * size_hw[1] >= MAX_MASK:
        raise RecordError(
            "height and width that no image has",
            f"{owner} has height and width {size_hw}, expected at least 1 and below 2**31 pixels",
        )
    file_name = record.get("file_name", _name_in_url(record.get("coco_url")))
    if not isinstance(file_name, str) or not 0 < len(file_name) < _MAX_PATH or "\0" in file_name:
        raise RecordError(
            "file_name that is no path",
            f"{owner} has file_name {short(file_name)}, expected a path",
        )
    try:
        file_name.encode()
    except UnicodeEncodeError as error:
        raise RecordError(
            "file_name that is no text",
            f"{owner} has file_name {short(file_name)}, which holds half a character; rename the "
            "file in UTF-8",
        ) from error
    inside = _inside(file_name, images_dir)
    if inside is None:
        raise RecordError(
            "file_name that leaves the image folder",
            f"{owner} has file_name {short(file_name)}, which leaves the image folder "
            f"{images_dir}; expected a path inside it",
        )
    return image_id, ImageEntry(image_id, inside, size_hw)


def _name_in_url(url: Any) -> str | None:
    """Folder and file, such as val2017/000000000139.jpg: LVIS names its images by addresses."""
    return "/".join(url.split("/")[-2:]) if isinstance(url, str) else None


def _inside(file_name: str, images_dir: Path) -> str | None:
    """The name relative to the folder; None if `..` or an absolute path leads out of it.

    Links are followed wherever they lead: that the folder holds them is its owner's decision.
    Backslashes separate folders, as Windows writes them.
    """
    if PureWindowsPath(file_name).drive:
        return None
    name = file_name.replace("\\", "/")
    if not name.startswith("/") and ".." not in name.split("/"):
        return name
    whole = os.path.normpath(images_dir / name)
    for folder in (str(images_dir), os.path.realpath(images_dir)):
        if whole.startswith(os.path.join(folder, "")):
            return os.path.relpath(whole, folder)
    return None


def parse_annotation(
    record: Mapping[str, Any],
    annotation_id: int,
    images: Mapping[int, ImageEntry],
) -> Annotation:
    """The annotation, its image known and its numbers finite; its category is not looked up.

    Args:
        annotation_id: the record's, which its caller has read to name it by.

    Raises:
        RecordError: what is wrong; the caller names the annotation.
    """
    image_id = integer(record, "image_id", "it")
    if image_id not in images:
        raise RecordError("unknown image", f"its image {image_id} is not among the images")
    category_id = integer(record, "category_id", "it")
    box = record.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_finite, box)):
        raise RecordError(
            "malformed bbox",
            f"its bbox is {short(box)}, expected [left, top, width, height] in pixels",
        )
    segmentation = None
    if record.get("segmentation"):
        segmentation = parse_segmentation(record["segmentation"], images[image_id].size_hw)
    area = record.get("area")
    if area is None:  # some tools leave it out
        size_hw = images[image_id].size_hw
        area = (
            float(coco_mask.area(encode_checked(segmentation, size_hw)))
            if segmentation
            else box[2] * box[3]
        )
    if not _is_finite(area):
        raise RecordError(
            "malformed area", f"its area is {short(area)}, expected a number of pixels"
        )
    if (iscrowd := record.get("iscrowd", 0)) not in (0, 1):
        raise RecordError("malformed iscrowd", f"its iscrowd is {short(iscrowd)}, expected 0 or 1")
    return Annotation(
        annotation_id=annotation_id,
        image_id=image_id,
        category_id=category_id,
        bbox_xywh=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
        area=float(area),
        iscrowd=bool(iscrowd),
        segmentation=segmentation,
    )


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < _MAX_NUMBER  # NaN is below nothing
