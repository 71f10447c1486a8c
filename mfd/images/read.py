"""Image files as RGB pixels; what cannot be used is refused by name."""

import struct
from pathlib import Path

from PIL import Image

from mfd.errors import DataError
from mfd.text import first_line

_DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")  # PIL would clip them to 8 bits
_PIL_ERRORS = (  # what Pillow raises for broken files, format by format
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)


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


def _wrong_size(path: Path, found: tuple[int, int], expected: tuple[int, int]) -> str:
    turned = found == expected[::-1]
    hint = (
        "its annotations were made on the turned image; store the pixels turned"
        if turned
        else "give the annotations that belong to it"
    )
    return f"{path} has height and width {found}, its annotation file says {expected}; {hint}"
