"""Image files as RGB pixels; what cannot be used is refused by name."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from mfd.errors import DataError
from mfd.images.open import decode, open_image
from mfd.images.rgb import orientation_of, to_rgb, turn_upright


def read_rgb(
    path: Path,
    expected_hw: tuple[int, int] | None = None,
    *,
    upright: bool = False,
    sha256: str | None = None,
    content: bytes | None = None,
) -> Image.Image:
    """The whole image file, decoded, as 8-bit RGB.

    Greyscale, palette and CMYK images become RGB; transparency is dropped; pixels of more than 8
    bits are scaled as `to_rgb` says.

    Args:
        expected_hw: the size that annotations count on; None accepts any.
        upright: turn the image as its EXIF orientation says; by default pixels are taken as
            stored, as COCO's annotation tools do.
        sha256: the digest that the file must have, hex; None accepts any.
        content: the file's bytes, where they are no file; `path` is then what errors call them.

    Raises:
        DataError: no file, no whole image, an image that is too large, of another size or digest.
    """
    with open_image(path, sha256, content) as image:
        orientation = orientation_of(image)
        stored_hw = (image.height, image.width)
        found_hw = stored_hw[::-1] if upright and orientation >= 5 else stored_hw
        if expected_hw is not None and found_hw != expected_hw:
            raise DataError(_wrong_size(path, found_hw, expected_hw, orientation, upright))
        decode(image)
        try:
            rgb = to_rgb(image)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        return turn_upright(rgb, orientation) if upright else rgb


@dataclass(frozen=True)
class ImageHeader:
    """What a file says of its pixels: their size as stored, and their EXIF orientation, 1 to 8."""

    size_hw: tuple[int, int]
    orientation: int


def read_header(path: Path, content: bytes | None = None) -> ImageHeader:
    """The header of the image file; its pixels are not read.

    Args:
        content: as of `read_rgb`.

    Raises:
        DataError: as `read_rgb`.
    """
    with open_image(path, content=content) as image:
        return ImageHeader((image.height, image.width), orientation_of(image))


def _wrong_size(
    path: Path, found: tuple[int, int], expected: tuple[int, int], orientation: int, upright: bool
) -> str:
    hint = "give the annotations that belong to it"
    if found == expected[::-1]:
        hint = "its annotations were made on the turned image; store the pixels turned"
        if orientation >= 5:
            hint = (
                f"its annotations belong to the {'stored' if upright else 'upright'} pixels; set "
                f'exif = "{"ignore" if upright else "apply"}"'
            )
    return f"{path} has height and width {found}, its annotation file says {expected}; {hint}"
