"""The ways in which exports are known to write boxes, and which of them explains a data set."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float64

Corners = Float64[np.ndarray, "n 4"]

READINGS: dict[str, Callable[[Corners], Corners]] = {
    # each takes the four numbers as annotated and returns the corners (left, top, right, bottom)
    "boxes written as corners": lambda b: b,
    "boxes written by their centre": lambda b: np.concatenate(
        (b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2), 1
    ),
    "boxes in (y, x) order": lambda b: np.stack(
        (b[:, 1], b[:, 0], b[:, 1] + b[:, 3], b[:, 0] + b[:, 2]), 1
    ),
    "boxes written as corners in (y, x) order": lambda b: b[:, [1, 0, 3, 2]],
}

POLYGONS_SWAPPED = "polygons in (y, x) order"
BOTH_SWAPPED = "boxes and polygons in (y, x) order"
RESIZED = "boxes and masks of different resolutions"
DIFFERENT = "boxes that differ from their masks"

MIN_IOU = 0.5
"""Of box and mask's extent in sound data; those of COCO are above 0.9 but for a few."""

_FITS = 0.8  # IoU of a box with the mask's extent, read in the right way
_SLACK = 3.0  # pixels by which any box may differ: small objects have a low IoU for less
_MAX_LEFT = 0.01  # share of boxes that a reading may leave outside of the images


def agree(boxes: Corners, extents: Corners) -> Bool[np.ndarray, " n"]:
    """Whether box and extent are those of one object."""
    return (iou(boxes, extents) >= MIN_IOU) | (np.abs(boxes - extents).max(1) <= _SLACK)


def explain(written: Corners, extents: Corners, sides: Float64[np.ndarray, "n 2"]) -> np.ndarray:
    """For each box that does not agree with its mask, why.

    Args:
        written: the four numbers as annotated.
        extents: corners of the masks' extents.
        sides: width and height of the images.
    """
    candidates = [read(written) for read in READINGS.values()]
    scale = np.tile((extents[:, 2:] - extents[:, :2]) / written[:, 2:], 2)
    plain = np.concatenate((written[:, :2], written[:, :2] + written[:, 2:]), 1)
    candidates.append(plain * scale)
    fits = np.stack([iou(corners, extents) for corners in candidates])
    names = np.array([*READINGS, RESIZED], object)
    best = names[fits.argmax(0)]
    best[fits.max(0) < _FITS] = DIFFERENT
    swapped = best == "boxes in (y, x) order"
    if swapped.any():  # of a box and its mask with x and y exchanged, the wrong one leaves images
        outside = [out_of_frame(c[swapped], sides[swapped]).sum() for c in (plain, extents)]
        if outside[1] > outside[0]:
            best[swapped] = POLYGONS_SWAPPED
    return best


def reading_in_frame(
    written: Corners, sides: Float64[np.ndarray, "n 2"], names: list[str]
) -> str | None:
    """The reading by which all boxes but very few lie in their images, if there is one."""
    for name in names:
        corners = READINGS[name](written)
        wrong = out_of_frame(corners, sides) | (corners[:, 2:] <= corners[:, :2]).any(1)
        if wrong.mean() <= _MAX_LEFT:
            return name
    return None


def out_of_frame(corners: Corners, sides: Float64[np.ndarray, "n 2"]) -> Bool[np.ndarray, " n"]:
    """Whether the box reaches out of its image by more than rounding explains."""
    slack = np.maximum(2, 0.02 * sides)
    return np.any((corners[:, :2] < -slack) | (corners[:, 2:] > sides + slack), axis=1)


def iou(a: Corners, b: Corners) -> Float64[np.ndarray, " n"]:
    """Intersection over union, row by row; 0 where a box has no area."""
    inside = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    common = inside.clip(0).prod(1)
    union = (a[:, 2:] - a[:, :2]).clip(0).prod(1) + (b[:, 2:] - b[:, :2]).clip(0).prod(1) - common
    return np.divide(common, union, out=np.zeros(len(a)), where=union > 0)
