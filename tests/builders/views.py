"""Views, and the preprocessing they are tried with."""

from dataclasses import replace
from itertools import product

import numpy as np
from PIL import Image

from mfd.images import (
    Placement,
    Preprocessing,
    parse_view,
)

SIDES = Preprocessing(shorter_side=240, longer_side=400)
FIXED = Preprocessing(size_hw=(150, 210))
NAMES = ("base", "flip", "ms:0", "ms:1", "ms:2", "ms:3", "lsj:0", "lsj:1", "lsj:2", "lsj:3")
EVERY = [*product(NAMES, (SIDES, FIXED))]
HW = (139, 201)


def raw(preprocessing: Preprocessing) -> Preprocessing:
    """The same sizes; pixels stay in [0, 1]."""
    return replace(preprocessing, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def show(mask: np.ndarray, placement: Placement) -> np.ndarray:
    """A mask of 0 and 1 in the pixels of the view."""
    rgb = Image.fromarray(np.repeat(mask[..., None] * np.uint8(255), 3, 2))
    return placement.apply(rgb, raw(SIDES)).pixels[0].numpy()


def drawn(
    name: str, count: int, preprocessing: Preprocessing, hw: tuple[int, int] = HW
) -> list[Placement]:
    return [parse_view(name).draw(i, hw, preprocessing) for i in range(count)]
