"""Whatever a caller has for an image, as upright 8-bit RGB."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Num, UInt8
from numpy.typing import NDArray
from PIL import Image

from mfd.errors import DataError, InputError
from mfd.images import orientation_of, read_rgb, to_rgb, turn_upright
from mfd.text import first_line

ImageInput = Path | str | Image.Image | NDArray[Any] | torch.Tensor
"""A file, a PIL image of any mode, an array H x W or H x W x 1, 3 or 4, or a tensor 3 x H x W or
H x W x 3; arrays and tensors are of uint8, of uint16 (scaled), or of floats in 0..1."""

_ACCEPTED = (
    "a path, a PIL image, an array (H x W, or H x W x 1, 3 or 4) or a tensor (3 x H x W, or "
    "H x W x 3), of uint8, uint16 or floats in 0..1"
)
_ROUNDING = 1e-3  # how far floats may lie outside of 0..1, as a resize leaves them


def upright_rgb(image: ImageInput) -> Image.Image:
    """The image as RGB; files and PIL images are turned as their EXIF data says.

    Transparency is dropped; 16-bit values are scaled to 8 bits.

    Raises:
        DataError: the file cannot be read or decoded.
        InputError: of no accepted type, shape or range; says which it is and what is accepted.
    """
    if isinstance(image, str | Path):
        return read_rgb(Path(image), upright=True)
    if isinstance(image, Image.Image):
        return _from_pil(image)
    if isinstance(image, torch.Tensor):
        return _from_array(_channels_last(image), f"a tensor of {_shape(image.shape)}")
    if isinstance(image, np.ndarray):
        return _from_array(image, f"an array of {_shape(image.shape)}")
    raise InputError(
        f"an image is of type {type(image).__name__}, expected {_ACCEPTED}; several in a list"
    )


def _from_pil(image: Image.Image) -> Image.Image:
    described = f"a PIL image of mode {image.mode}"
    orientation = orientation_of(image)
    try:
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{described} cannot be decoded: {first_line(error)}") from error
    if not (image.width and image.height):
        raise InputError(f"{described} has no pixels, expected {_ACCEPTED}")
    try:
        return turn_upright(to_rgb(image), orientation)
    except DataError as error:
        raise InputError(f"{described}: {error}; accepted is {_ACCEPTED}") from error


def _channels_last(tensor: torch.Tensor) -> Num[np.ndarray, "H W *C"]:
    shape = tuple(tensor.shape)
    first, last = (len(shape) == 3 and shape[axis] == 3 for axis in (0, -1))
    if first == last:
        why = "which side has the colours is not clear" if first else "no side has 3 colours"
        raise InputError(f"a tensor of {_shape(shape)}: {why}; expected {_ACCEPTED}")
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point():
        tensor = tensor.float()  # numpy has no bfloat16
    return (tensor.permute(1, 2, 0) if first else tensor).numpy()


def _from_array(values: Num[np.ndarray, "..."], described: str) -> Image.Image:
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in (1, 3, 4)):
        raise InputError(f"{described} is not an image, expected {_ACCEPTED}")
    if not values.size:
        raise InputError(f"{described} has no pixels, expected {_ACCEPTED}")
    pixels = _eight_bits(values, described)
    if pixels.ndim == 3:
        pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels[..., :3]
    return Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")


def _eight_bits(values: Num[np.ndarray, "..."], described: str) -> UInt8[np.ndarray, "..."]:
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.uint16:
        return ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    if np.issubdtype(values.dtype, np.floating):
        if not (values.min() >= -_ROUNDING and values.max() <= 1 + _ROUNDING):  # nor NaN
            raise InputError(
                f"{described} holds {values.dtype} values from {values.min():g} to "
                f"{values.max():g}, expected 0..1; accepted is {_ACCEPTED}"
            )
        return np.rint(values.clip(0, 1) * 255).astype(np.uint8)
    raise InputError(f"{described} holds {values.dtype}, expected {_ACCEPTED}")


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "no dimensions"
