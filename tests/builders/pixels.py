"""Pixels of no picture, and image files of them."""

from pathlib import Path

import numpy as np
from PIL import Image


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def save(pixels: np.ndarray, path: Path, orientation: int | None = None, **options: object) -> None:
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif, **options)
