"""Masks as polygons that annotation tools can show and change: one for each part of a mask."""

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from mfd.headtrain.inference.outline import outlines

Polygon = list[tuple[float, float]]
"""Corners (x, y) in pixels; pixel (0, 0) covers [0, 1] x [0, 1]."""


def polygons(mask: Bool[np.ndarray, "H W"], tolerance: float = 0.0) -> list[Polygon]:
    """A polygon for each connected part of the mask, the largest first.

    A hole is joined to the outline around it by a slit of no width, so that one list of corners
    stands for both: filled by the even-odd or the non-zero rule it has the hole.

    Args:
        tolerance: corners are left out as long as none of them lies farther than this from the
            outline that remains, pixels; 0 keeps all, and the polygons are the mask to the pixel.
    """
    labels, count = ndimage.label(mask)
    found: list[tuple[int, Polygon]] = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        part = labels[rows, columns] == number
        corner = np.array([columns.start, rows.start])
        lines = [simplify(np.array(line, float) + corner, tolerance) for line in outlines(part)]
        found.append((-int(part.sum()), join(lines)))
    assert len(found) == count
    return [polygon for _, polygon in sorted(found, key=lambda each: each[0])]


def join(lines: list[Polygon]) -> Polygon:
    """Closed lines as one, each joined to those before it by a slit of no width, where it is short.

    Along a slit the line runs there and back, so that no rule of filling sees it.
    """
    joined = lines[0]
    for line in lines[1:]:
        gaps = np.linalg.norm(np.array(joined)[:, None] - np.array(line)[None], axis=-1)
        here, there = np.unravel_index(gaps.argmin(), gaps.shape)
        joined = joined[: here + 1] + line[there:] + line[: there + 1] + joined[here:]
    return joined


def simplify(line: Float[np.ndarray, "N 2"], tolerance: float) -> Polygon:
    """A closed line with fewer corners (Ramer 1972, Douglas and Peucker 1973).

    A line that would lose half of its area or more, as around a single row of pixels, keeps all.
    """
    kept = line[_corners(line, tolerance)] if tolerance > 0 else line
    if abs(_area(kept)) <= abs(_area(line)) / 2:
        kept = line
    return [(x, y) for x, y in kept.tolist()]


def _corners(line: Float[np.ndarray, "N 2"], tolerance: float) -> list[int]:
    """Which corners remain: the first, the one farthest from it, and between them what must."""
    closed = np.concatenate([line, line[:1]])
    farthest = int(np.linalg.norm(line - line[0], axis=1).argmax())
    kept, todo = {0, farthest}, [(0, farthest), (farthest, len(line))]
    while todo:
        first, last = todo.pop()
        if last - first < 2:
            continue
        distances = _distances(closed[first + 1 : last], closed[first], closed[last])
        if distances.max() > tolerance:
            middle = first + 1 + int(distances.argmax())
            kept.add(middle)
            todo += [(first, middle), (middle, last)]
    return sorted(kept)


def _distances(
    points: Float[np.ndarray, "N 2"], start: Float[np.ndarray, "2"], end: Float[np.ndarray, "2"]
) -> Float[np.ndarray, " N"]:
    """Of each point from the straight piece between two others."""
    along = end - start
    length = float(along @ along)
    share = ((points - start) @ along / length).clip(0, 1) if length else np.zeros(len(points))
    return np.linalg.norm(points - start - share[:, None] * along, axis=1)


def _area(line: Float[np.ndarray, "N 2"]) -> float:
    x, y = line.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
