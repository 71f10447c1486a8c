"""Points and boxes through an axis-aligned affine map, such as that from an image to a view."""

import numpy as np
from jaxtyping import Float64


def map_points(
    matrix: Float64[np.ndarray, "2 3"], points: Float64[np.ndarray, "*N 2"]
) -> Float64[np.ndarray, "*N 2"]:
    """The points (x, y) after the map; each axis depends on itself alone."""
    return points * matrix.diagonal() + matrix[:, 2]


def map_boxes(
    matrix: Float64[np.ndarray, "2 3"], boxes_xyxy: Float64[np.ndarray, "*N 4"]
) -> Float64[np.ndarray, "*N 4"]:
    """The boxes (left, top, right, bottom) after the map, left before right also if it flips."""
    corners = map_points(matrix, boxes_xyxy.reshape(*boxes_xyxy.shape[:-1], 2, 2))
    return np.concatenate((corners.min(-2), corners.max(-2)), -1)
