"""The placements that the views draw; what is random comes from a generator's `random` alone."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mfd.images.preprocessing import Preprocessing, input_size
from mfd.images.views.placement import Placement

# Deformable DETR's training augmentation, shorter sides in pixels for a detector of 800 x 1333
_FULL_SIDE = 800
_SIDES = tuple(range(480, 801, 32))
_SIDES_BEFORE_CROP = (400, 500, 600)
_MIN_CROP, _MAX_CROP = 384, 600

# Large-scale jittering
_MIN_SCALE, _MAX_SCALE = 0.1, 2.0


def whole_image(
    original_hw: tuple[int, int], preprocessing: Preprocessing, flip: bool = False
) -> Placement:
    """The detector's own resize and nothing else, of the flipped image if `flip`."""
    resized_hw = input_size(original_hw, preprocessing)
    height, width = resized_hw
    return Placement(original_hw, flip, resized_hw, (0, 0, width, height), resized_hw, resized_hw)


def multi_scale(
    rng: np.random.Generator, original_hw: tuple[int, int], preprocessing: Preprocessing
) -> Placement:
    """Deformable DETR's training augmentation (arXiv:2010.04159; the numbers are its code's).

    Half of the images are flipped. Half are resized so that the shorter side is one of 480, 512,
    ..., 800 and the longer at most 1333. The others are resized to a shorter side of 400, 500 or
    600, cropped to 384 to 600 pixels a side, each side for itself, and then resized like the
    first half.

    Those are sides for a detector whose own shorter side is 800; for another they are scaled by
    its `shorter_side` / 800 [ours], and its `longer_side` takes the place of 1333. A detector
    with a fixed `size_hw` may be unable to mask padding or to take another size, so its input
    keeps that size [ours]: the first half is its plain resize, and of the others the crop, the
    same share of each side as of a square image, is resized to it.
    """
    flip = rng.random() < 0.5
    if rng.random() < 0.5:
        return whole_image(original_hw, _random_side(rng, preprocessing), flip)
    resized_hw = _size_before_crop(original_hw, preprocessing, _choice(rng, _SIDES_BEFORE_CROP))
    (low_h, high_h), (low_w, high_w) = _crop_limits(preprocessing, resized_hw)
    wide, high = _integer(rng, low_w, high_w), _integer(rng, low_h, high_h)
    left, top = _integer(rng, 0, resized_hw[1] - wide), _integer(rng, 0, resized_hw[0] - high)
    content_hw = input_size((high, wide), _random_side(rng, preprocessing))
    return Placement(original_hw, flip, resized_hw, (left, top, wide, high), content_hw, content_hw)


def large_scale_jitter(
    rng: np.random.Generator, original_hw: tuple[int, int], preprocessing: Preprocessing
) -> Placement:
    """Large-scale jittering (arXiv:2012.07177, figure 3; table 11 of Mask Frozen-DETR).

    Half of the images are flipped. The image is resized to 0.1 to 2.0 times the target size,
    uniform, and cropped or padded to the target size, the crop uniform over its positions. The
    target size is the detector's own input size for the image [ours].

    A detector with sides to keep gets no padding here: batches are padded and the padding is
    masked, so a small image is simply a small input. One with a fixed `size_hw` may be unable to
    mask padding or to take another size: it gets that size, padded at the right and bottom
    with the mean colour, unmasked.
    """
    flip = rng.random() < 0.5
    scale = _MIN_SCALE + (_MAX_SCALE - _MIN_SCALE) * rng.random()
    target_hw = input_size(original_hw, preprocessing)
    resized_hw = (_times(target_hw[0], scale), _times(target_hw[1], scale))
    high, wide = min(resized_hw[0], target_hw[0]), min(resized_hw[1], target_hw[1])
    left, top = _integer(rng, 0, resized_hw[1] - wide), _integer(rng, 0, resized_hw[0] - high)
    input_hw = (high, wide) if preprocessing.size_hw is None else preprocessing.size_hw
    return Placement(original_hw, flip, resized_hw, (left, top, wide, high), (high, wide), input_hw)


def _random_side(rng: np.random.Generator, preprocessing: Preprocessing) -> Preprocessing:
    """The detector's resize with a shorter side from the list; a fixed size stays."""
    side = _choice(rng, _SIDES)
    return preprocessing if preprocessing.size_hw else _with_side(preprocessing, side)


def _with_side(preprocessing: Preprocessing, side: int) -> Preprocessing:
    """The detector's resize with `side` in place of 800, also in proportion to a fixed size."""
    share, size_hw = side / _FULL_SIDE, preprocessing.size_hw
    return replace(
        preprocessing,
        shorter_side=_times(preprocessing.shorter_side, share),
        size_hw=size_hw and (_times(size_hw[0], share), _times(size_hw[1], share)),
    )


def _size_before_crop(
    original_hw: tuple[int, int], preprocessing: Preprocessing, side: int
) -> tuple[int, int]:
    """Height and width with `side` in place of 800 and the longer side free."""
    scaled = _with_side(preprocessing, side)
    if scaled.size_hw is not None:
        return scaled.size_hw
    shorter, longer = sorted(original_hw)
    target = scaled.shorter_side
    other = int(target * longer / shorter)
    return (target, other) if original_hw[0] <= original_hw[1] else (other, target)


def _crop_limits(
    preprocessing: Preprocessing, resized_hw: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Smallest and largest height, and smallest and largest width, of a crop of this size."""
    full_hw = preprocessing.size_hw or (preprocessing.shorter_side,) * 2
    height, width = (
        (_times(full, _MIN_CROP / _FULL_SIDE), min(size, _times(full, _MAX_CROP / _FULL_SIDE)))
        for full, size in zip(full_hw, resized_hw, strict=True)
    )
    return height, width


def _times(side: int, factor: float) -> int:
    return max(1, round(side * factor))


def _choice(rng: np.random.Generator, options: Sequence[int]) -> int:
    return options[_integer(rng, 0, len(options) - 1)]


def _integer(rng: np.random.Generator, low: int, high: int) -> int:
    """A whole number from `low` to `high`, both included."""
    return low + int(rng.random() * (high - low + 1))
