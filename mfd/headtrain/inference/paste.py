"""From a probability map in a box's own frame to the image's mask, as COCO's run lengths.

One object at a time and only inside its box: the pixels outside are never made, and memory is
bounded by one box, whatever the number of objects.
"""

import math
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from pycocotools import mask as mask_utils
from torch import Tensor

Rle = dict[str, Any]
"""COCO's compressed run lengths: {"size": [height, width], "counts": bytes}."""


def paste_mask(
    probabilities: Float[Tensor, "h w"],
    box_xyxy: Float[Tensor, "4"],
    size_hw: tuple[int, int],
    threshold: float = 0.5,
) -> Rle:
    """The image's mask of one object: its map resized to its box, where above `threshold` (eq. 4).

    A pixel belongs to the box if its centre (x + 0.5, y + 0.5) lies inside; the map is read there
    bilinearly, its cells having their centres at half steps too. Between a border cell's centre and
    the edge of the box the border cell is continued. A box without any pixel centre, or outside
    the image, gives an empty mask.

    Args:
        probabilities: in the CPU's memory; row = y, column = x; the map's outer edges are the
            edges of the box.
        box_xyxy: left, top, right, bottom in pixels of the image, not rounded; may reach outside.
        size_hw: of the image, pixels.
    """
    left, top, right, bottom = box_xyxy.tolist()
    xs = _pixels_between(left, right, size_hw[1])
    ys = _pixels_between(top, bottom, size_hw[0])
    stretched = _resize(probabilities.numpy().T, xs, left, right)  # (width, h)
    resized = _resize(stretched.T, ys, top, bottom)  # (height, width)
    return encode_columns((resized > threshold).T, xs.start, ys.start, size_hw)


def fill_box(box_xyxy: Float[Tensor, "4"], size_hw: tuple[int, int]) -> Rle:
    """The mask of all pixels whose centre lies inside the box, in pixels of the image."""
    left, top, right, bottom = box_xyxy.tolist()
    xs = _pixels_between(left, right, size_hw[1])
    ys = _pixels_between(top, bottom, size_hw[0])
    return encode_columns(np.ones((len(xs), len(ys)), bool), xs.start, ys.start, size_hw)


def encode_columns(
    columns: Bool[np.ndarray, "w h"], left: int, top: int, size_hw: tuple[int, int]
) -> Rle:
    """The run lengths of a mask that is false outside a rectangle, without making the whole mask.

    Args:
        columns: the rectangle, transposed: COCO's runs go down one column after the other.
        left: of the rectangle in the image, pixels.
        top: likewise.
        size_hw: of the image, pixels.
    """
    height, width = size_hw
    # One false pixel below every column ends its runs, unless runs may continue in the next column.
    pitch = columns.shape[1] + (columns.shape[1] < height)
    pixels = np.zeros(len(columns) * pitch + 2, bool)  # and one before the first, after the last
    pixels[1:-1].reshape(len(columns), pitch)[:, : columns.shape[1]] = columns
    column, row = np.divmod(np.flatnonzero(pixels[1:] != pixels[:-1]), pitch)
    changes = (left + column) * height + top + row
    if not len(changes) or changes[-1] < height * width:
        changes = np.append(changes, height * width)  # the last run ends with the image
    counts = changes.copy()
    counts[1:] -= changes[:-1]
    runs = {"size": [height, width], "counts": counts}
    return mask_utils.frPyObjects(runs, height, width)


def _pixels_between(low: float, high: float, size: int) -> range:
    """The pixels of 0 .. size - 1 whose centres are at least `low` and below `high`."""
    first = max(math.ceil(low - 0.5), 0)
    return range(first, max(first, min(math.ceil(high - 0.5), size)))


def _resize(
    values: Float[np.ndarray, "cells n"], pixels: range, low: float, high: float
) -> Float[np.ndarray, "_pixels n"]:
    """The rows of `values`, spread from `low` to `high`, read bilinearly at pixels' centres."""
    values = np.ascontiguousarray(values, np.float32)
    centres = np.arange(pixels.start, pixels.stop) + 0.5
    last = len(values) - 1
    position = ((centres - low) / (high - low) * len(values) - 0.5).clip(0, last)
    first = position.astype(np.intp)
    at_first = values[first]
    step = values[np.minimum(first + 1, last)]
    step -= at_first
    step *= (position - first).astype(np.float32)[:, None]
    at_first += step  # no matrix product: BLAS would start threads for it
    return at_first
