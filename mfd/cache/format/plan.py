"""How much room every image gets in a store, from the sizes of the images alone."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil

import numpy as np
from jaxtyping import Int64

from mfd.cache.store.identity import StoreIdentity, small_dtype
from mfd.images import Preprocessing

_MAX_CHUNK_BYTES = 2 << 20
_MIN_CHUNK_BYTES = 16 << 10  # below, the fixed cost of a chunk outweighs the bytes saved
_MAX_CHUNKS = 64
_MAX_WASTE = 0.03


@dataclass(frozen=True)
class Plan:
    """Room for the largest image on every padded axis, fixed when the store is created.

    Args:
        tokens: per image of `enc/tokens`; a multiple of `token_chunk`.
        pixels: per image of `c1/map`; a multiple of `pixel_chunk`.
        name_bytes: of the longest file name, in UTF-8.
    """

    tokens: int
    token_chunk: int
    pixels: int
    pixel_chunk: int
    name_bytes: int

    def to_json(self) -> dict[str, int]:
        """The plan as plain JSON values."""
        return asdict(self)


def make_plan(identity: StoreIdentity, input_hw: Sequence[tuple[int, int]] | None = None) -> Plan:
    """Room and chunk lengths for a list of images.

    A map of stride s of an H x W input has ceil(H / s) x ceil(W / s) entries; one more row and
    column of every map are allowed for, as detectors round differently.

    Args:
        input_hw: upper bounds of each image's size after resizing and augmentation, pixels;
            by default what the detector's preprocessing makes of the original sizes.
    """
    spec = identity.spec
    sizes = _input_sizes(identity, input_hw)
    width = np.dtype(identity.dtype).itemsize
    tokens, token_chunk = _room(sizes, spec.strides, spec.dim * width)
    pixels, pixel_chunk = _room(sizes, (spec.c1_stride,), spec.c1_channels * width)
    name_bytes = max(len(image.file_name.encode()) for image in identity.images)
    return Plan(tokens, token_chunk, pixels, pixel_chunk, name_bytes)


def resized_hw(preprocessing: Preprocessing, original_hw: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the detector's input, rounded up."""
    if preprocessing.size_hw is not None:
        return preprocessing.size_hw
    short, long = sorted(original_hw)
    scale = min(preprocessing.shorter_side / short, preprocessing.longer_side / long)
    return ceil(original_hw[0] * scale), ceil(original_hw[1] * scale)


def planned_bytes(identity: StoreIdentity, input_hw: Sequence[tuple[int, int]] | None) -> int:
    """About how large the store will be without a codec, before any image has been read."""
    spec = identity.spec
    sizes = _input_sizes(identity, input_hw)
    values = _positions(sizes, spec.strides).sum() * spec.dim
    channels = len(spec.strides) * spec.dim
    if identity.profile == "full":
        values += _positions(sizes, (spec.c1_stride,)).sum() * spec.c1_channels
        channels += spec.c1_channels
    small = np.dtype(small_dtype(identity.dtype)).itemsize
    per_image = spec.num_queries * ((spec.dim + spec.num_logits) * small + 4 * 4)
    per_image += channels * 4 if identity.dtype == "int8" else 0
    return int(values) * np.dtype(identity.dtype).itemsize + len(sizes) * per_image


def _input_sizes(
    identity: StoreIdentity, input_hw: Sequence[tuple[int, int]] | None
) -> Int64[np.ndarray, "N 2"]:
    if input_hw is None:
        rule = identity.spec.preprocessing
        input_hw = [resized_hw(rule, image.original_hw) for image in identity.images]
    return np.array(input_hw, np.int64)


def _positions(sizes: np.ndarray, strides: Sequence[int], margin: int = 0) -> np.ndarray:
    """Number of map entries of every image, summed over the strides."""
    maps = [-(-sizes // stride) + margin for stride in strides]
    return np.sum([m[:, 0] * m[:, 1] for m in maps], axis=0)


def _room(sizes: np.ndarray, strides: Sequence[int], entry_bytes: int) -> tuple[int, int]:
    """Length of the padded axis and of its chunks.

    The chunk is the longest that wastes at most 3 % of the bytes on half-filled last chunks and
    has 16 KiB to 2 MiB: images of one size get a single chunk, COCO's mix at 800 x 1333 about 8.
    """
    counts = _positions(sizes, strides)
    longest = int(counts.max())
    fewest = ceil(longest * entry_bytes / _MAX_CHUNK_BYTES)
    most = min(_MAX_CHUNKS, longest * entry_bytes // _MIN_CHUNK_BYTES)
    for chunks in range(fewest, max(fewest, most) + 1):
        chunk = ceil(longest / chunks)
        if (-(-counts // chunk) * chunk).sum() <= (1 + _MAX_WASTE) * counts.sum():
            break
    bound = int(_positions(sizes, strides, margin=1).max())
    return ceil(bound / chunk) * chunk, chunk
