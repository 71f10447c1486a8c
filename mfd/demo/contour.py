"""The outer boundaries of a mask, as COCO polygons."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

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
    """Midpoints of the pixel edges around one 4-connected part, clockwise on screen, (n, 2).

    Walks along pixel edges with the part on the right hand: at every corner it turns right if it
    can, because diagonal neighbours belong to different parts, else goes straight, else left.
    """
    inside = np.pad(part, 1)
    row, column = np.argwhere(inside)[0].tolist()
    start = (row, column, 0, 1)  # the upper left corner of the first pixel, facing right
    y, x, dy, dx = start
    midpoints = []
    while True:
        midpoints.append((x + dx / 2 - 1, y + dy / 2 - 1))
        y, x = y + dy, x + dx
        # the pixels ahead, on the right and on the left of the direction
        ahead_right = inside[y + min(0, dy, dx), x + min(0, dx, -dy)]
        ahead_left = inside[y + min(0, dy, -dx), x + min(0, dx, dy)]
        if not ahead_right:
            dy, dx = dx, -dy
        elif ahead_left:
            dy, dx = -dx, dy
        if (y, x, dy, dx) == start:
            return np.array(midpoints)


def _without_straight_corners(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """The corners at which the direction changes."""
    step = np.roll(corners, -1, axis=0) - corners
    return corners[np.any(step != np.roll(step, 1, axis=0), axis=1)]
