"""Pixels of every kind as 8-bit RGB, upright if asked for."""

import numpy as np
from jaxtyping import Num
from PIL import Image

from mfd.errors import DataError

_ORIENTATION = 0x0112  # of the tags of EXIF
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_METADATA = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")


def to_rgb(image: Image.Image) -> Image.Image:
    """The image as 8-bit RGB; transparency is dropped.

    16-bit values are divided by 257. Whole numbers of 32 bits are taken for 16-bit ones, as Pillow
    reads some of those; floats are taken for 0..1 if none is larger, else for 0..255.

    Raises:
        DataError: 32-bit values outside of these ranges.
    """
    if image.mode.startswith("I") or image.mode == "F":
        rgb = Image.fromarray(_eight_bits(np.asarray(image), image.mode)).convert("RGB")
        rgb.info = dict(image.info)
        return rgb
    straight = {"La": "LA", "RGBa": "RGBA"}.get(image.mode)  # premultiplied
    return (image.convert(straight) if straight else image).convert("RGB")


def turn_upright(rgb: Image.Image, orientation: int) -> Image.Image:
    """The image turned as its EXIF orientation asks for, and without that."""
    if orientation in _TURNS:
        rgb = rgb.transpose(_TURNS[orientation])
    for key in _METADATA:
        rgb.info.pop(key, None)
    return rgb


def orientation_of(image: Image.Image) -> int:
    """How EXIF says that the stored pixels are turned, 1 to 8; 1 is upright, or not known.

    Pillow turns TIFF files itself, so theirs is 1.
    """
    if image.format == "TIFF":
        return 1
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except (SyntaxError, ValueError, LookupError, TypeError, OSError, RuntimeError, Warning):
        return 1  # damaged metadata do not make an image unusable
    return orientation if orientation in _TURNS else 1


def _eight_bits(values: Num[np.ndarray, "H W"], mode: str) -> np.ndarray:
    low, high = values.min(), values.max()
    if mode != "F":
        if low < 0 or high >= 2**16:
            raise _out_of_range(low, high, "0..65535")
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if not (low >= 0 and high <= 255):  # nor NaN
        raise _out_of_range(low, high, "0..1 or 0..255")
    return np.rint(values * 255 if high <= 1 else values).astype(np.uint8)


def _out_of_range(low: float, high: float, expected: str) -> DataError:
    return DataError(f"pixels are from {low:g} to {high:g}, expected {expected}; convert them")
