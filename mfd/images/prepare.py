"""RGB pixels as a detector's input: resized, scaled and normalised."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from mfd.images.preprocessing import Preprocessing, input_size
from mfd.images.read import read_rgb


@dataclass(frozen=True)
class LoadedImage:
    """One image ready for the detector: resized and normalised RGB, and its size before."""

    pixels: Float[Tensor, "3 H W"]
    original_hw: tuple[int, int]

    @property
    def input_hw(self) -> tuple[int, int]:
        """Size after the resize, pixels."""
        return self.pixels.shape[1], self.pixels.shape[2]


def load_image(
    path: Path,
    preprocessing: Preprocessing,
    expected_hw: tuple[int, int] | None = None,
    sha256: str | None = None,
) -> LoadedImage:
    """The image file as the detector's input; `read_rgb`, then `prepare_image`.

    Args:
        expected_hw: the annotated size, of the upright image if that is what `preprocessing` asks
            for.
        sha256: the digest that the file must have, hex.

    Raises:
        DataError: as `read_rgb`.
    """
    rgb = read_rgb(path, expected_hw, upright=preprocessing.upright, sha256=sha256)
    return prepare_image(rgb, preprocessing)


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
