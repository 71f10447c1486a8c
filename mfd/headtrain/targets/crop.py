"""An object's mask as a box sees it: G x G cells, each the share of it that is covered.

Cut straight from the mask's run lengths: what a cell covers of a column of pixels is a difference
of two counts, so the mask itself is never made and its height costs nothing.
"""

import numpy as np
from jaxtyping import Float64, Int, Int64


def box_crop(
    runs: Int[np.ndarray, " n"],
    size_hw: tuple[int, int],
    box_xyxy: tuple[float, float, float, float],
    size: int,
    window_xyxy: tuple[float, float, float, float] | None = None,
) -> Float64[np.ndarray, "G G"]:
    """Covered share of each of `size` x `size` cells of the box, in [0, 1], row 0 at the top.

    The integral of the mask over the cell, exact for any box: pixel (i, j) fills the square from
    (j, i) to (j + 1, i + 1), cells may cut through pixels, and outside the image or the window
    nothing is covered.

    Args:
        runs: of the mask, see `mfd.coco.mask_runs`.
        size_hw: of the image, pixels.
        box_xyxy: (left, top, right, bottom) in pixels, of some width and height.
        size: G.
        window_xyxy: the part of the image that counts, pixels; None: all of it.
    """
    height, width = size_hw
    left, top, right, bottom = box_xyxy
    x_low, y_low, x_high, y_high = window_xyxy or (0, 0, width, height)
    x_edges, columns = _edges_and_pixels(left, right, size, width, x_low, x_high)
    y_edges, rows = _edges_and_pixels(top, bottom, size, height, y_low, y_high)
    down = _column_integrals(runs, height, columns, rows, y_edges)  # (columns, G)
    covered = _integrals(down, x_edges).T  # (G, G)
    return covered * (size / (right - left) * size / (bottom - top))


def _edges_and_pixels(
    start: float, stop: float, size: int, pixels: int, low: float, high: float
) -> tuple[Float64[np.ndarray, " e"], range]:
    """The pixels a box side touches, and its G + 1 cell edges counted from the first of them."""
    edges = np.linspace(start, stop, size + 1).clip(low, high)
    first = min(int(edges[0]), pixels - 1)
    return edges - first, range(first, max(int(np.ceil(edges[-1])), first + 1))


def _column_integrals(
    runs: Int[np.ndarray, " n"],
    height: int,
    columns: range,
    rows: range,
    edges: Float64[np.ndarray, " e"],
) -> Float64[np.ndarray, "c g"]:
    """Integrals of the mask down each column between neighbouring edges, counted from `rows[0]`."""
    ends = np.zeros(len(runs) + 1, np.int64)  # pixel where each run begins, and the end
    np.cumsum(runs, out=ends[1:])
    covered = np.zeros_like(ends)  # pixels of the object before it
    np.cumsum(np.where(np.arange(len(runs)) % 2, runs, 0), out=covered[1:])
    integrals = np.zeros((len(columns), len(edges) - 1))
    touched = _touched(ends, height, columns)
    if touched.start >= touched.stop:
        return integrals
    row = np.minimum(edges.astype(np.int64), len(rows) - 1)
    top_pixels = np.arange(touched.start, touched.stop)[:, None] * height + rows[0]
    pixels = top_pixels + row
    run = np.searchsorted(ends, pixels.ravel(), side="right").reshape(pixels.shape) - 1
    at_top = np.searchsorted(ends, top_pixels, side="right") - 1
    inside, top_inside = run & 1, at_top & 1  # runs of 0 and 1 take turns
    until = covered[run] + inside * (pixels - ends[run])
    until -= covered[at_top] + top_inside * (top_pixels - ends[at_top])
    at_edges = until + (edges - row) * inside
    first = touched.start - columns.start
    integrals[first : first + len(touched)] = np.diff(at_edges, axis=1)
    return integrals


def _touched(ends: Int64[np.ndarray, " e"], height: int, columns: range) -> range:
    """Those of the columns that lie between the object's first and last pixel."""
    first, last = ends[1] // height, (ends[len(ends) % 2 - 2] - 1) // height
    return range(max(columns.start, int(first)), min(columns.stop, int(last) + 1))


def _integrals(
    values: Float64[np.ndarray, "n m"], edges: Float64[np.ndarray, " e"]
) -> Float64[np.ndarray, "g m"]:
    """Integrals between neighbouring edges along axis 0, where row i fills [i, i + 1]."""
    until = np.zeros((len(values) + 1, values.shape[1]))
    np.cumsum(values, axis=0, out=until[1:])
    row = np.minimum(edges.astype(np.int64), len(values) - 1)
    at_edges = until[row] + (edges - row)[:, None] * values[row]
    return np.diff(at_edges, axis=0)
