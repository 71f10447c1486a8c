"""Opening image files: by which of Pillow's plugins, and how large they may be."""

import functools
import hashlib
import io
import os
import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from mfd.errors import ConfigError, DataError, MfdError
from mfd.placeholders import refuse_placeholder
from mfd.text import first_line

SETTING = "MFD_MAX_MEGAPIXELS"
MAX_MEGAPIXELS = 250.0
"""Largest image that is decoded, unless `MFD_MAX_MEGAPIXELS` says otherwise: about 1 GB."""

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
"""Pillow's names of the formats that are read, MPO among JPEG; others, such as EPS, would start
programs or are no photographs."""

_LARGE = 50_000_000  # pixels; below, no limit of Pillow's is met while decoding
_LIMIT = threading.Lock()  # Pillow's limit is one for the whole process

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)

PIL_ERRORS = (  # what Pillow raises for broken files, plugin by plugin
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    ArithmeticError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    RuntimeError,
    MemoryError,
    BufferError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Warning,  # where Python is told to raise them
)

# Pillow warns of damaged metadata, which is not used; the module is that of the caller
warnings.filterwarnings("ignore", module=r"PIL\.")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


@contextmanager
def open_image(
    path: Path, sha256: str | None = None, content: bytes | None = None
) -> Iterator[Image.Image]:
    """The image with its header read; `decode` reads the rest.

    Args:
        sha256: the digest in hex that the very bytes must have that are decoded; None: any.
        content: the file's bytes, where they are no file; `path` is then what errors call them.

    Raises:
        DataError: there is no such file, it is none, or cannot be read; or no image, one larger
            than is allowed, or another file than was expected. So is whatever Pillow raises in the
            body of the `with` statement.
    """
    try:
        limit = max_pixels()
        source: Path | io.BytesIO = path
        if content is not None:
            source = io.BytesIO(content)
        else:
            _require_file(path)
            if sha256 is not None:
                source = io.BytesIO(_expected(path, sha256))
        with _pillow_limit(limit):
            image = Image.open(source, formats=_formats())
        with image:
            if image.width * image.height > limit:
                raise _too_large(path, limit, f"{image.width} x {image.height} pixels")
            yield image
    except MfdError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"there is no image {path}; check the image folder") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(path, max_pixels(), "too many pixels") from error
    except MemoryError as error:
        raise DataError(f"{path} does not fit into memory; make it smaller") from error
    except PIL_ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's, not the decoder's
            raise DataError(f"{path} cannot be read ({error.strerror})") from error
        with suppress(OSError):
            if content is None:
                refuse_placeholder(path, "an image", DataError)
        if isinstance(error, UnidentifiedImageError):
            raise DataError(
                f"{path} is not a whole image in a format that is read; convert it to one of "
                f"{', '.join(_formats())}"
            ) from error
        raise DataError(f"{path} is not a whole image: {first_line(error)}") from error


def decode(image: Image.Image) -> None:
    """Read the pixels of an image of `open_image`."""
    if image.width * image.height < _LARGE:
        image.load()
    else:
        with _pillow_limit(max_pixels()):
            image.load()


@functools.cache
def image_suffixes() -> frozenset[str]:
    """The endings of files in the formats that are read, lower case with their dot."""
    formats = {*_formats(), "MPO"}
    return frozenset(end for end, name in Image.registered_extensions().items() if name in formats)


@functools.cache
def _formats() -> tuple[str, ...]:
    """Those that this build of Pillow has."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _require_file(path: Path) -> None:
    mode = os.stat(path).st_mode
    for is_kind, name in _KINDS:
        if is_kind(mode):
            raise DataError(f"{path} is {name}, expected an image file")


def _expected(path: Path, sha256: str) -> bytes:
    content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise DataError(
            f"{path} is not the file that was listed (sha256 {found[:8]}, expected {sha256[:8]}); "
            "restore it, or run `mfd extract` again, which lists what is there now"
        )
    return content


def max_pixels() -> int:
    """Of the largest image that is decoded, by `MFD_MAX_MEGAPIXELS`.

    Raises:
        ConfigError: the variable is no number of megapixels.
    """
    text = os.environ.get(SETTING, "")
    try:
        megapixels = float(text) if text else MAX_MEGAPIXELS
        if not 0 < megapixels < 1e6:
            raise ValueError
    except ValueError as error:
        raise ConfigError(f"{SETTING} is {text!r}, expected a number of megapixels") from error
    return int(megapixels * 1e6)


def _too_large(path: Path, limit: int, found: str) -> DataError:
    return DataError(
        f"{path} has {found}, expected at most {limit / 1e6:g} megapixels; make it smaller, or "
        f"allow more by setting {SETTING}"
    )


@contextmanager
def _pillow_limit(pixels: int) -> Iterator[None]:
    """Pillow's own limit, which stops some formats before they allocate anything."""
    with _LIMIT:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before
