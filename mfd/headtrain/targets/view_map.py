"""Where the boxes of a detector lie in the image file, whatever view of it the detector saw."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mfd.images import Placement, map_boxes


@dataclass(frozen=True)
class ViewMap:
    """The map from a view, in which 0 and 1 are the edges of the detector's input, to the image.

    Attributes:
        matrix: from positions (x, y, 1) in the view to pixels of the image file; each axis depends
            on itself alone.
        window_xyxy: the part of the image that the view shows, pixels.
    """

    matrix: Float64[np.ndarray, "2 3"]
    window_xyxy: tuple[float, float, float, float]

    @classmethod
    def whole(cls, size_hw: tuple[int, int]) -> "ViewMap":
        """The map of a detector that saw the whole image, upright: the view `base`."""
        height, width = map(float, size_hw)
        return cls(np.array([[width, 0, 0], [0, height, 0]]), (0.0, 0.0, width, height))

    @classmethod
    def of(cls, placement: Placement) -> "ViewMap":
        """The map of an image that was placed in its view."""
        (height, width), (input_height, input_width) = placement.original_hw, placement.input_hw
        matrix = placement.inverse * [[input_width, 1, 1], [1, input_height, 1]]
        left, top, right, bottom = placement.window_xyxy
        window = (max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height))  # rounding
        return cls(matrix, window)

    @property
    def flips(self) -> bool:
        """Whether left and right are exchanged."""
        return bool(self.matrix[0, 0] < 0)

    def to_image(self, boxes_xyxy: Float64[np.ndarray, "n 4"]) -> Float64[np.ndarray, "n 4"]:
        """Boxes of the view in pixels of the image file."""
        return map_boxes(self.matrix, boxes_xyxy)

    def to_view(self, boxes_xyxy: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
        """Boxes in pixels of the image file as the detector would predict them."""
        (scale_x, _, shift_x), (_, scale_y, shift_y) = self.matrix.tolist()
        shift = boxes_xyxy.new_tensor([shift_x, shift_y])
        scale = boxes_xyxy.new_tensor([scale_x, scale_y])
        corners = (boxes_xyxy.unflatten(1, (2, 2)) - shift) / scale
        return torch.cat((corners.amin(1), corners.amax(1)), 1)
