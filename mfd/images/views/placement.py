"""Where an image lies in a view of it: the pixels of the view, and the map in both directions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64
from PIL import Image

from mfd.errors import StoreError
from mfd.images.preprocessing import Preprocessing
from mfd.images.views.affine import map_boxes

if TYPE_CHECKING:
    from mfd.images.prepare import LoadedImage

_NUM_VALUES = 13


@dataclass(frozen=True)
class Placement:
    """What happens to one image, step by step; every size is whole pixels.

    The image is flipped, resized, cropped, resized again, and padded at the right and bottom.
    Positions count as everywhere: pixel (i, j) fills the square from (j, i) to (j + 1, i + 1).

    Attributes:
        original_hw: size of the image file.
        flip: left and right are exchanged, before anything else.
        resized_hw: size of the whole image when it is cropped.
        crop_xywh: left, top, width and height of the crop, pixels of the resized image.
        content_hw: size that the crop is resized to.
        input_hw: size of the detector's input: the content, and the padding if there is any.
    """

    original_hw: tuple[int, int]
    flip: bool
    resized_hw: tuple[int, int]
    crop_xywh: tuple[int, int, int, int]
    content_hw: tuple[int, int]
    input_hw: tuple[int, int]

    @cached_property
    def matrix(self) -> Float64[np.ndarray, "2 3"]:
        """From positions (x, y, 1) in the original image to (x, y) in the view."""
        (height, width), (left, top, wide, high) = self.original_hw, self.crop_xywh
        zoom_x, zoom_y = self.content_hw[1] / wide, self.content_hw[0] / high
        scale_x, scale_y = self.resized_hw[1] / width * zoom_x, self.resized_hw[0] / height * zoom_y
        shift_x, shift_y = -left * zoom_x, -top * zoom_y
        if self.flip:
            scale_x, shift_x = -scale_x, shift_x + self.resized_hw[1] * zoom_x
        return np.array([[scale_x, 0.0, shift_x], [0.0, scale_y, shift_y]])

    @cached_property
    def inverse(self) -> Float64[np.ndarray, "2 3"]:
        """From positions (x, y, 1) in the view to (x, y) in the original image."""
        (scale_x, _, shift_x), (_, scale_y, shift_y) = self.matrix.tolist()
        x, y = (1 / scale_x, 0.0, -shift_x / scale_x), (0.0, 1 / scale_y, -shift_y / scale_y)
        return np.array([x, y])

    @property
    def window_xyxy(self) -> tuple[float, float, float, float]:
        """The part of the image that the view shows, original pixels."""
        height, width = self.content_hw
        content = np.array([0.0, 0.0, width, height])
        left, top, right, bottom = map_boxes(self.inverse, content).tolist()
        return left, top, right, bottom

    def apply(self, rgb: Image.Image, preprocessing: Preprocessing) -> LoadedImage:
        """The view as the detector's input.

        The crop is resampled once, by PIL's bilinear filter from the pixels of the file, however
        many resizes the sizes come from. Padding is 0 after normalisation: the mean colour.

        Args:
            rgb: the image, of size `original_hw`.
            preprocessing: for mean and standard deviation; the sizes are the placement's.
        """
        import torch  # here, as it takes seconds: most commands read placements and no pixels

        from mfd.images.prepare import LoadedImage, prepare_image

        assert (rgb.height, rgb.width) == self.original_hw
        if self.flip:
            rgb = rgb.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        (height, width), (left, top, wide, high) = self.original_hw, self.crop_xywh
        x, y = width / self.resized_hw[1], height / self.resized_hw[0]
        right, bottom = min((left + wide) * x, width), min((top + high) * y, height)  # rounding
        box = (left * x, top * y, right, bottom)
        rgb = rgb.resize(self.content_hw[::-1], Image.Resampling.BILINEAR, box)
        pixels = prepare_image(rgb, replace(preprocessing, size_hw=self.content_hw)).pixels
        if self.input_hw != self.content_hw:
            below, beside = (n - c for n, c in zip(self.input_hw, self.content_hw, strict=True))
            pixels = torch.from_numpy(np.pad(pixels.numpy(), ((0, 0), (0, below), (0, beside))))
        return LoadedImage(pixels, self.original_hw)

    def to_json(self) -> list[int]:
        """13 whole numbers: flip (0 or 1), then the sizes in the order of the fields."""
        sizes = (self.original_hw, self.resized_hw, self.crop_xywh, self.content_hw, self.input_hw)
        return [int(self.flip), *(n for size in sizes for n in size)]

    @staticmethod
    def from_json(values: Any) -> "Placement":
        """The placement that `to_json` gave.

        Raises:
            StoreError: values that describe no placement.
        """
        found = isinstance(values, list) and all(type(n) is int and n >= 0 for n in values)
        if found and len(values) == _NUM_VALUES and values[0] <= 1:
            n = tuple(values[1:])
            placement = Placement(n[:2], values[0] == 1, n[2:4], n[4:8], n[8:10], n[10:])
            if placement._fits():
                return placement
        raise StoreError(
            f"the placement of an image in its view is {values!r}, expected {_NUM_VALUES} whole "
            "numbers that fit together; verify the store or extract it again"
        )

    def _fits(self) -> bool:
        """Whether nothing is empty, the crop lies in the image and the content in the input."""
        left, top, wide, high = self.crop_xywh
        inner = (*self.original_hw, high, wide, *self.content_hw)
        outer = (
            *self.original_hw,
            self.resized_hw[0] - top,
            self.resized_hw[1] - left,
            *self.input_hw,
        )
        return all(0 < a <= b for a, b in zip(inner, outer, strict=True))
