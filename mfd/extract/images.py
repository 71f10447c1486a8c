"""Image files become the detector's input; what cannot be used is refused by name."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from mfd.detector import Preprocessing
from mfd.errors import DataError, first_line

_DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")  # PIL would clip them to 8 bits
_PIL_ERRORS = (  # what Pillow raises for broken files, format by format
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)


@dataclass(frozen=True)
class LoadedImage:
    """One image ready for the detector: resized and normalised RGB, and its size in the file."""

    pixels: Float[Tensor, "3 H W"]
    original_hw: tuple[int, int]

    @property
    def input_hw(self) -> tuple[int, int]:
        """Size after the resize, pixels."""
        return self.pixels.shape[1], self.pixels.shape[2]


def load_image(
    path: Path, preprocessing: Preprocessing, expected_hw: tuple[int, int] | None = None
) -> LoadedImage:
    """The image file as the detector's input; `read_rgb`, then `prepare_image`.

    Raises:
        DataError: as `read_rgb`.
    """
    return prepare_image(read_rgb(path, expected_hw), preprocessing)


def read_rgb(path: Path, expected_hw: tuple[int, int] | None = None) -> Image.Image:
    """The whole image file, decoded, as 8-bit RGB.

    Pixels are taken as stored: EXIF orientation is ignored, as COCO's annotation tools do.
    Greyscale, palette and CMYK images become RGB; transparency is dropped.

    Args:
        expected_hw: the size that annotations count on; None accepts any.

    Raises:
        DataError: no file, no whole image, more than 8 bits per channel, or another size.
    """
    try:
        with Image.open(path) as image:
            found_hw = (image.height, image.width)
            if expected_hw is not None and found_hw != expected_hw:
                raise DataError(_wrong_size(path, found_hw, expected_hw))
            if image.mode in _DEEP_MODES:
                raise DataError(
                    f"{path} has pixels of type {image.mode}, expected 8 bits per channel; "
                    "convert it"
                )
            return image.convert("RGB")
    except FileNotFoundError as error:
        raise DataError(f"there is no image {path}; check the image folder") from error
    except DataError:
        raise
    except _PIL_ERRORS as error:
        raise DataError(f"{path} is not a whole image: {first_line(error)}") from error


def prepare_image(rgb: Image.Image, preprocessing: Preprocessing) -> LoadedImage:
    """The image resized by PIL's bilinear filter, scaled to [0, 1] and normalised, float32."""
    original_hw = (rgb.height, rgb.width)
    resized_hw = input_size(original_hw, preprocessing)
    if resized_hw != original_hw:
        rgb = rgb.resize(resized_hw[::-1], Image.Resampling.BILINEAR)
    # numpy: torch would start a pool of threads in every decoding thread
    pixels = np.ascontiguousarray(np.array(rgb).transpose(2, 0, 1), dtype=np.float32)
    pixels /= 255
    pixels -= np.array(preprocessing.mean, np.float32)[:, None, None]
    pixels /= np.array(preprocessing.std, np.float32)[:, None, None]
    return LoadedImage(torch.from_numpy(pixels), original_hw)


def input_size(size_hw: tuple[int, int], preprocessing: Preprocessing) -> tuple[int, int]:
    """Height and width after the resize.

    The evaluation resize of DETR and Deformable DETR: the shorter side is rounded when the
    longer one limits it, and the other side is always truncated.
    """
    if preprocessing.size_hw is not None:
        return preprocessing.size_hw
    shorter, longer = min(size_hw), max(size_hw)
    target = preprocessing.shorter_side
    if longer / shorter * target > preprocessing.longer_side:
        target = max(1, round(preprocessing.longer_side * shorter / longer))
    if target == shorter:
        return size_hw
    other = int(target * longer / shorter)
    return (target, other) if size_hw[0] <= size_hw[1] else (other, target)


def collate_images(
    images: Sequence[Float[Tensor, "3 _h _w"]],
) -> tuple[Float[Tensor, "B 3 H W"], Bool[Tensor, "B H W"]]:
    """The images in one tensor, zeros at the right and bottom, and the mask: True on padding."""
    height, width = (max(image.shape[axis] for image in images) for axis in (1, 2))
    batch = torch.zeros(len(images), 3, height, width)
    padding_mask = torch.ones(len(images), height, width, dtype=torch.bool)
    for image, row, mask in zip(images, batch, padding_mask, strict=True):
        row[:, : image.shape[1], : image.shape[2]] = image
        mask[: image.shape[1], : image.shape[2]] = False
    return batch, padding_mask


def _wrong_size(path: Path, found: tuple[int, int], expected: tuple[int, int]) -> str:
    turned = found == expected[::-1]
    hint = (
        "its annotations were made on the turned image; store the pixels turned"
        if turned
        else "give the annotations that belong to it"
    )
    return f"{path} has height and width {found}, its annotation file says {expected}; {hint}"
