"""An object's mask as a box sees it: G x G cells, each the share of it that is covered."""

import numpy as np
from jaxtyping import Float64, Num, UInt8


def box_crop(
    mask: UInt8[np.ndarray, "H W"],
    box_xyxy: tuple[float, float, float, float],
    size: int,
) -> Float64[np.ndarray, "G G"]:
    """Covered share of each of `size` x `size` cells of the box, in [0, 1], row 0 at the top.

    The integral of the mask over the cell, exact for any box: pixel (i, j) fills the square from
    (j, i) to (j + 1, i + 1), cells may cut through pixels, and outside the image nothing is
    covered.

    Args:
        mask: 0 or 1.
        box_xyxy: (left, top, right, bottom) in pixels, of some width and height.
        size: G.
    """
    left, top, right, bottom = box_xyxy
    x_edges, columns = _edges_and_pixels(left, right, size, mask.shape[1])
    y_edges, rows = _edges_and_pixels(top, bottom, size, mask.shape[0])
    down = _integrals(mask[rows, columns], y_edges)  # (G, columns)
    covered = _integrals(np.ascontiguousarray(down.T), x_edges).T  # (G, G)
    return covered * (size / (right - left) * size / (bottom - top))


def _edges_and_pixels(
    start: float, stop: float, size: int, pixels: int
) -> tuple[Float64[np.ndarray, " e"], slice]:
    """The pixels a box side touches, and its G + 1 cell edges counted from the first of them."""
    edges = np.linspace(start, stop, size + 1).clip(0, pixels)
    first = min(int(edges[0]), pixels - 1)
    return edges - first, slice(first, max(int(np.ceil(edges[-1])), first + 1))


def _integrals(
    values: Num[np.ndarray, "n m"], edges: Float64[np.ndarray, " e"]
) -> Float64[np.ndarray, "g m"]:
    """Integrals between neighbouring edges along axis 0, where row i fills [i, i + 1]."""
    until = np.zeros((len(values) + 1, values.shape[1]))
    np.cumsum(values, axis=0, dtype=np.float64, out=until[1:])
    row = np.minimum(edges.astype(np.int64), len(values) - 1)
    at_edges = until[row] + (edges - row)[:, None] * values[row]
    return np.diff(at_edges, axis=0)
