"""The outer boundaries of a mask, as COCO polygons."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mfd.headtrain import outlines

_MIN_PIXELS = 6  # of a part worth drawing


def polygons(mask: NDArray[np.bool_]) -> list[list[float]]:
    """One polygon [x0, y0, x1, y1, ...] for each connected part of the mask, holes filled.

    Corners are the midpoints of pixel edges on the boundary, in COCO's frame: pixel (row, column)
    covers [column, column + 1] x [row, row + 1]. Parts of fewer than six pixels are left out.
    """
    parts, count = ndimage.label(mask)
    sizes = np.bincount(parts.ravel())
    return [
        _without_straight_corners(_outer_boundary(parts == part)).ravel().tolist()
        for part in range(1, count + 1)
        if sizes[part] >= _MIN_PIXELS
    ]


def has_hole(mask: NDArray[np.bool_]) -> bool:
    """Whether some background is enclosed, which a COCO polygon cannot say."""
    return bool(ndimage.binary_fill_holes(mask).sum() > mask.sum())


def _outer_boundary(part: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Midpoints of the first and last pixel edge of each straight side, clockwise, (n, 2)."""
    corners = np.array(outlines(part)[0], float)
    following = np.roll(corners, -1, axis=0)
    half_edge = np.sign(following - corners) / 2
    midpoints = np.stack((corners + half_edge, following - half_edge), 1).reshape(-1, 2)
    return midpoints[np.any(midpoints != np.roll(midpoints, 1, axis=0), axis=1)]


def _without_straight_corners(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """The corners at which the direction changes."""
    step = np.roll(corners, -1, axis=0) - corners
    return corners[np.any(step != np.roll(step, 1, axis=0), axis=1)]
