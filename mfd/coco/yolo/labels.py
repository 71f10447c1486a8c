"""One line of a YOLO label file: a class number, and a polygon or a box in parts of the image."""

import math
from typing import Any

from mfd.coco.findings import RecordError
from mfd.text import short

_SLACK = 0.01  # of the image's side by which rounding may leave it


def parse_line(line: str, size_hw: tuple[int, int]) -> dict[str, Any]:
    """The object as COCO's category_id, bbox and, for a polygon, segmentation.

    `class x y x y x y ...` is a polygon, `class x y width height` a box by its centre.

    Raises:
        RecordError: what is wrong with the line.
    """
    try:
        number, *values = map(float, line.split())
    except ValueError as error:
        raise RecordError("label that is not of numbers", f"found {short(line)}") from error
    if not all(map(math.isfinite, (number, *values))):
        raise RecordError("label that is not of numbers", f"found {short(line)}")
    if not number.is_integer():
        raise RecordError("class that is no whole number", f"its class is {number:g}")
    if len(values) != 4 and (len(values) < 6 or len(values) % 2):
        raise RecordError(
            "label of a wrong length",
            f"its class is followed by {len(values)} numbers, expected x and y of three or more "
            "corners, or x, y, width and height of a box",
        )
    if min(values) < -_SLACK or max(values) > 1 + _SLACK:
        raise RecordError(
            "coordinates out of 0..1",
            f"its coordinates reach from {min(values):g} to {max(values):g}, expected parts of the "
            "image's width and height, 0 to 1",
        )
    height, width = size_hw
    found: dict[str, Any] = {"category_id": int(number)}
    if len(values) == 4:
        x, y, box_width, box_height = values
        left, top = (x - box_width / 2) * width, (y - box_height / 2) * height
        return {**found, "bbox": [left, top, box_width * width, box_height * height]}
    xs = [min(max(x, 0.0), 1.0) * width for x in values[::2]]
    ys = [min(max(y, 0.0), 1.0) * height for y in values[1::2]]
    polygon = [coordinate for point in zip(xs, ys, strict=True) for coordinate in point]
    left, top = min(xs), min(ys)
    bbox = [left, top, max(xs) - left, max(ys) - top]
    return {**found, "bbox": bbox, "segmentation": [polygon]}
