"""How much room every image gets in a store, from the sizes of the images alone."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

import numpy as np
from jaxtyping import Int64

from mfd.cache.format.encodings import ENCODINGS
from mfd.cache.format.profiles import C1, ENCODER, MapKind, map_kinds
from mfd.cache.format.records import StoreImage
from mfd.config import Profile, StoredDtype
from mfd.detectors import DetectorSpec
from mfd.images import Preprocessing
from mfd.settings import from_json

_MAX_CHUNK_BYTES = 2 << 20
_MIN_CHUNK_BYTES = 16 << 10  # below, the fixed cost of a chunk outweighs the bytes saved
_MAX_CHUNKS = 64
_MAX_WASTE = 0.03


@dataclass(frozen=True)
class Plan:
    """Room for the largest image on every padded axis, fixed when the store is created.

    Args:
        tokens: per image of `enc/tokens`; a multiple of `token_chunk`.
        pixels: per image of `c1/map`; a multiple of `pixel_chunk`. There in every profile; 0 for
            detectors without that map.
        name_bytes: of the longest file name, in UTF-8.
    """

    tokens: int
    token_chunk: int
    pixels: int
    pixel_chunk: int
    name_bytes: int

    def __post_init__(self) -> None:
        for room, chunk in ((self.tokens, self.token_chunk), (self.pixels, self.pixel_chunk)):
            if room < 0 or chunk < bool(room) or (chunk and room % chunk):
                raise ValueError(f"room for {room} in chunks of {chunk}")

    def room(self, kind: MapKind) -> tuple[int, int]:
        """Length of the padded axis of the kind's array, and of its chunks."""
        if kind is ENCODER:
            return self.tokens, self.token_chunk
        return self.pixels, self.pixel_chunk

    def to_json(self) -> dict[str, int]:
        """The plan as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Plan":
        """The plan that `to_json` wrote.

        Raises:
            ConfigError: a value that is no whole number.
            TypeError, ValueError: other fields, or room that is no multiple of its chunks.
        """
        return from_json(cls, cls(**values).to_json())


def make_plan(
    spec: DetectorSpec,
    dtype: StoredDtype,
    images: Sequence[StoreImage],
    input_hw: Sequence[tuple[int, int]] | None = None,
) -> Plan:
    """Room and chunk lengths for a list of images.

    A map of stride s of an H x W input has ceil(H / s) x ceil(W / s) entries; one more row and
    column of every map are allowed for, as detectors round differently.

    Args:
        input_hw: what the detector sees of every image, pixels; None: its own resize.
    """
    sizes = np.array(input_hw or resized_sizes(spec.preprocessing, images), np.int64)
    encoding = ENCODINGS[dtype]

    def room(kind: MapKind) -> tuple[int, int]:
        entry_bytes = encoding.width(kind.channels(spec)) * encoding.itemsize
        return _room(sizes, kind.strides(spec), entry_bytes)

    tokens, token_chunk = room(ENCODER)
    pixels = pixel_chunk = 0
    if spec.has_c1:
        pixels, pixel_chunk = room(C1)
    name_bytes = max(len(image.file_name.encode()) for image in images)
    return Plan(tokens, token_chunk, pixels, pixel_chunk, name_bytes)


def resized_sizes(
    preprocessing: Preprocessing, images: Sequence[StoreImage]
) -> list[tuple[int, int]]:
    """Height and width of the detector's input for each image, rounded up."""
    if preprocessing.size_hw is not None:
        return [preprocessing.size_hw] * len(images)
    sizes = []
    for image in images:
        short, long = sorted(image.original_hw)
        scale = min(preprocessing.shorter_side / short, preprocessing.max_side / long)
        sizes.append((ceil(image.original_hw[0] * scale), ceil(image.original_hw[1] * scale)))
    return sizes


def planned_bytes(
    spec: DetectorSpec, profile: Profile, dtype: StoredDtype, input_hw: Sequence[tuple[int, int]]
) -> int:
    """About how large a store will be without a codec, before any image has been read.

    Args:
        input_hw: size of every image as the detector sees it, pixels.
    """
    encoding = ENCODINGS[dtype]
    sizes = np.array(input_hw, np.int64)
    query_bytes = (spec.dim + spec.num_logits) * ENCODINGS[encoding.query_dtype].itemsize
    total = len(sizes) * spec.num_queries * (query_bytes + 4 * 4)  # boxes are float32
    for kind in map_kinds(spec, profile):
        channels, strides = kind.channels(spec), kind.strides(spec)
        width = encoding.width(channels)
        total += int(_positions(sizes, strides).sum()) * width * encoding.itemsize
        total += len(sizes) * len(strides) * channels * encoding.constant_bytes
    return total


def _positions(
    sizes: Int64[np.ndarray, "N 2"], strides: Sequence[int], margin: int = 0
) -> np.ndarray:
    """Number of map entries of every image, summed over the strides."""
    maps = [-(-sizes // stride) + margin for stride in strides]
    return np.sum([m[:, 0] * m[:, 1] for m in maps], axis=0)


def _room(
    sizes: Int64[np.ndarray, "N 2"], strides: Sequence[int], entry_bytes: int
) -> tuple[int, int]:
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
