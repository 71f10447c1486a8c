"""The outlines of a mask: exact, along the edges of its pixels."""

import numpy as np
from jaxtyping import Bool

Point = tuple[int, int]
_RIGHT, _DOWN, _LEFT, _UP = range(4)


def outlines(mask: Bool[np.ndarray, "H W"]) -> list[list[Point]]:
    """The corners (x, y) of every outline, in pixels; a pixel covers [x, x + 1] x [y, y + 1].

    Outlines run clockwise on the screen around each part, and anticlockwise around each hole, so
    that filling them all by the even-odd or the non-zero rule gives the mask back. Pixels that
    touch only at a corner belong to different outlines.
    """
    inside = np.pad(mask.astype(bool), 1)
    above, below = inside[:-1, 1:-1], inside[1:, 1:-1]
    before, after = inside[1:-1, :-1].T, inside[1:-1, 1:].T
    # straight pieces with the mask on the right hand: from where each begins to where it ends
    pieces = (
        {(x0, y): (x1, y) for y, x0, x1 in _runs(below & ~above)},
        {(x, y0): (x, y1) for x, y0, y1 in _runs(before & ~after)},
        {(x1, y): (x0, y) for y, x0, x1 in _runs(above & ~below)},
        {(x, y1): (x, y0) for x, y0, y1 in _runs(after & ~before)},
    )
    found = []
    todo = dict.fromkeys(pieces[_RIGHT])
    while todo:
        start = next(iter(todo))
        point, direction = start, _RIGHT
        corners: list[Point] = []
        while not corners or (point, direction) != (start, _RIGHT):
            if direction == _RIGHT:
                del todo[point]
            corners.append(point)
            point = pieces[direction][point]
            # where parts touch, the piece on the right hand is the same part's
            right_hand, left_hand = (direction + 1) % 4, (direction - 1) % 4
            direction = right_hand if point in pieces[right_hand] else left_hand
        found.append(corners)
    return found


def _runs(edges: Bool[np.ndarray, "h w"]) -> list[tuple[int, int, int]]:
    """(row, first column, column behind the last) of every run of true values along the rows."""
    steps = np.diff(np.pad(edges.astype(np.int8), ((0, 0), (1, 1))))
    rows, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1]
    return list(zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True))
