"""COCO segmentations as masks, each checked before pycocotools' C code, which trusts its input."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8
from pycocotools import mask as coco_mask

from mfd.coco.findings import RecordError
from mfd.text import short

MAX_MASK = 2**31
"""Pixels a mask stays below; pycocotools counts them in 32 bits."""

_MAX_DISTANCE = (
    10  # how many image sides a polygon may lie out of frame: its cost grows with length
)


def encode_segmentation(segmentation: Any, size_hw: tuple[int, int]) -> dict[str, Any]:
    """The segmentation as pycocotools' compressed RLE: `{"size": [H, W], "counts": bytes}`.

    Polygons of fewer than three points enclose nothing and are left out, so the mask may be empty.

    Args:
        segmentation: as in a COCO file: polygons in pixels, or RLE {"size": [H, W], "counts": ...}
            compressed (str or bytes) or not (list of runs). A polygon is [x, y, x, y, ...] or
            [[x, y], [x, y], ...].
        size_hw: of the image.

    Raises:
        DataError: a segmentation that is malformed or of another size, or coordinates that are
            not finite or absurdly far away.
    """
    return encode_checked(parse_segmentation(segmentation, size_hw), size_hw)


def encode_checked(segmentation: Any, size_hw: tuple[int, int]) -> dict[str, Any]:
    """The RLE of what `parse_segmentation` returned, None being the empty mask."""
    height, width = size_hw
    if not segmentation:
        segmentation = {"counts": [height * width]}
    if isinstance(segmentation, list):
        return dict(coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width)))
    counts = segmentation["counts"]
    if isinstance(counts, list):
        rle = {"size": [height, width], "counts": counts}
        return dict(coco_mask.frPyObjects(rle, height, width))
    compressed = counts.encode("ascii") if isinstance(counts, str) else counts
    return {"size": [height, width], "counts": compressed}


def decode_segmentation(segmentation: Any, size_hw: tuple[int, int]) -> UInt8[np.ndarray, "H W"]:
    """The mask, 1 on the object and 0 elsewhere; arguments as for `encode_segmentation`.

    Raises:
        DataError: as `encode_segmentation`.
    """
    height, width = size_hw
    runs = mask_runs(segmentation, size_hw)
    values = (np.arange(len(runs)) % 2).astype(np.uint8)  # runs of 0 and 1 take turns
    return np.ascontiguousarray(np.repeat(values, runs).reshape(width, height).T)


def mask_runs(segmentation: Any, size_hw: tuple[int, int]) -> Int64[np.ndarray, " n"]:
    """How many pixels are 0, then 1, then 0 ..., down one column after the other.

    Arguments as for `encode_segmentation`.

    Raises:
        DataError: as `encode_segmentation`.
    """
    return _decompress_runs(encode_segmentation(segmentation, size_hw)["counts"])


def parse_segmentation(segmentation: Any, size_hw: tuple[int, int]) -> Any:
    """The segmentation in the spelling that pycocotools takes, None if it encloses nothing.

    Polygons come as flat lists of at least three points each, an RLE as it is.

    Raises:
        RecordError: as `encode_segmentation`.
    """
    if isinstance(segmentation, Mapping):
        return segmentation if _object_pixels(segmentation, size_hw) else None
    if not isinstance(segmentation, list):
        raise RecordError(
            "malformed segmentation",
            f"segmentation is a {type(segmentation).__name__}, expected polygons or an RLE",
        )
    if len(segmentation) >= 3 and all(map(_is_point, segmentation)):
        segmentation = [segmentation]  # a single polygon, given without the list around it
    polygons = [_parse_polygon(polygon, size_hw) for polygon in segmentation]
    return [polygon for polygon in polygons if len(polygon) >= 6] or None


def _is_point(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2


def _parse_polygon(polygon: Any, size_hw: tuple[int, int]) -> list[float]:
    """The polygon's coordinates, x and y in turn, checked."""
    if not isinstance(polygon, list):
        raise RecordError(
            "malformed polygon",
            f"polygon is of type {type(polygon).__name__}, expected a list of coordinates; "
            "a segmentation is a list of polygons",
        )
    if polygon and all(map(_is_point, polygon)):
        polygon = [coordinate for point in polygon for coordinate in point]
    if len(polygon) % 2:
        raise RecordError(
            "polygon with an odd number of coordinates",
            f"polygon has {len(polygon)} coordinates, expected pairs of x and y",
        )
    try:
        finite = math.isfinite(math.fsum(polygon))
    except (TypeError, OverflowError, ValueError):  # no numbers; huge ones; inf - inf
        finite = False
    if not finite:
        raise RecordError(
            "polygon that is not of numbers", "polygon has coordinates that are not finite numbers"
        )
    limit = _MAX_DISTANCE * max(size_hw)
    if polygon and (min(polygon) < -limit or max(polygon) > limit):
        raise RecordError(
            "polygon far out of the image",
            f"polygon reaches from {min(polygon):.6g} to {max(polygon):.6g}, far out of an image "
            f"of height and width {size_hw}; coordinates are pixels",
        )
    return polygon


def _object_pixels(rle: Mapping[str, Any], size_hw: tuple[int, int]) -> int:
    """How many pixels the RLE marks, once it is known to be sound."""
    height, width = size_hw
    if height * width >= MAX_MASK:
        raise _bad_rle(f"mask of height and width {size_hw} is too large for a COCO RLE")
    if (size := rle.get("size")) != [height, width]:
        raise RecordError(
            "RLE of another size than the image",
            f"RLE has size {short(size)}, expected the image's {[height, width]}; give "
            "the size that it was made for",
        )
    counts = rle.get("counts")
    if isinstance(counts, list):
        runs = _listed_runs(counts)
    elif isinstance(counts, str | bytes):
        runs = _decompress_runs(counts)
    else:
        raise _bad_rle(f"RLE counts are a {type(counts).__name__}, expected a list or a string")
    if (runs < 0).any():
        raise _bad_rle(f"RLE has a run of {runs.min()} pixels, expected none below 0")
    if (total := int(runs.sum())) != height * width:
        raise _bad_rle(f"RLE runs add up to {total} pixels, expected {height} * {width}")
    return int(runs[1::2].sum())


def _bad_rle(text: str) -> RecordError:
    return RecordError("malformed RLE", text)


def _listed_runs(counts: Sequence[Any]) -> Int64[np.ndarray, " n"]:
    for run in counts:
        if type(run) is not int or abs(run) >= MAX_MASK:
            raise _bad_rle(f"RLE has a run of {short(run)}, expected a whole number of pixels")
    return np.asarray(counts, np.int64)


def _decompress_runs(counts: str | bytes) -> Int64[np.ndarray, " n"]:
    """Run lengths behind COCO's compressed counts.

    Each number is written in digits of five bits, lowest first, as characters from "0" on; bit 5
    says that another digit follows, bit 4 of the last digit is the sign. From the fourth number
    on, what is written is the difference to the number two before.
    """
    try:
        text = counts.encode("ascii") if isinstance(counts, str) else counts
    except UnicodeEncodeError as error:
        raise _bad_rle("RLE counts hold characters that COCO never writes") from error
    digits = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    if ((digits < 0) | (digits > 63)).any():
        raise _bad_rle("RLE counts hold characters that COCO never writes")
    if not len(digits):
        return digits
    last = np.flatnonzero((digits & 32) == 0)
    if not len(last) or last[-1] != len(digits) - 1:
        raise _bad_rle("RLE counts are cut off in the middle of a number")
    first = np.concatenate(([0], last[:-1] + 1))
    lengths = last - first + 1
    if lengths.max() > 7:  # 7 * 5 bits hold every 32-bit count and its sign
        raise _bad_rle("RLE counts hold a number beyond 32 bits")
    place = np.arange(len(digits)) - np.repeat(first, lengths)
    numbers = np.add.reduceat((digits & 31) << (5 * place), first)
    numbers -= np.where(digits[last] & 16, np.int64(1) << (5 * lengths), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers
