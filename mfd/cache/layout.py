"""The arrays of a store: names, shapes, chunks, shards and codecs.

A unit is 16 consecutive images. It fills exactly one shard of most arrays and four of `c1/map`,
and shares no file with another unit, so units are written, committed and repaired on their own.
Every image has the same room on the token axis; the chunks a short image does not reach are
absent from its shard and cost 16 bytes each.
"""

import shutil
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec
from zarr.storage import MemoryStore

from mfd.cache.durable import write_atomically
from mfd.cache.identity import Profile, StoredDtype, StoreIdentity
from mfd.detector import DetectorSpec, Preprocessing
from mfd.errors import StoreError

UNIT = 16
REPAIR = "run `mfd cache verify --repair` and extract again"
C1_SHARD = 4  # images: 16 stride-4 maps would be half a gigabyte at 800 x 1333
ZarrArray = zarr.Array[Any]
Codec = Literal["none", "zstd", "blosc"]

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


@dataclass(frozen=True)
class ArrayLayout:
    """One array; `shards` is None where a chunk is a file of its own."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None = None

    @property
    def rows_per_file(self) -> int:
        """How many entries of the first axis lie in one file."""
        return (self.shards or self.chunks)[0]

    def file(self, row: int) -> str:
        """The file, relative to the store, that holds an entry of the first axis."""
        zeros = ".0" * (len(self.shape) - 1)
        return f"{self.name}/c.{row // self.rows_per_file}{zeros}"


def make_plan(identity: StoreIdentity, input_hw: Sequence[tuple[int, int]] | None = None) -> Plan:
    """Room and chunk lengths for a list of images.

    A map of stride s of an H x W input has ceil(H / s) x ceil(W / s) entries; one more row and
    column of every map are allowed for, as detectors round differently.

    Args:
        input_hw: upper bounds of each image's size after resizing and augmentation, pixels;
            by default what the detector's preprocessing makes of the original sizes.
    """
    spec = identity.spec
    if input_hw is None:
        input_hw = [resized_hw(spec.preprocessing, image.original_hw) for image in identity.images]
    sizes = np.array(input_hw, np.int64)
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


def data_arrays(
    spec: DetectorSpec, profile: Profile, dtype: StoredDtype, num_images: int, plan: Plan
) -> tuple[ArrayLayout, ...]:
    """The arrays that units fill."""
    rows = ceil(num_images / UNIT) * UNIT
    tokens = (plan.tokens, spec.dim)
    queries = (spec.num_queries, spec.dim)
    logits = (spec.num_queries, spec.num_logits)
    boxes = (spec.num_queries, 4)
    arrays = [
        ArrayLayout("dec/box", "float32", (rows, *boxes), (UNIT, *boxes)),
        ArrayLayout("dec/query", dtype, (rows, *queries), (1, *queries), (UNIT, *queries)),
        ArrayLayout("dec/logit", dtype, (rows, *logits), (1, *logits), (UNIT, *logits)),
        ArrayLayout(
            "enc/tokens", dtype, (rows, *tokens), (1, plan.token_chunk, spec.dim), (UNIT, *tokens)
        ),
    ]
    if profile == "full":
        pixels = (plan.pixels, spec.c1_channels)
        chunk = (1, plan.pixel_chunk, spec.c1_channels)
        arrays.append(ArrayLayout("c1/map", dtype, (rows, *pixels), chunk, (C1_SHARD, *pixels)))
    return tuple(arrays)


def index_arrays(spec: DetectorSpec, num_images: int, plan: Plan) -> tuple[ArrayLayout, ...]:
    """The arrays about all images, one chunk each; `file_name` is UTF-8 padded with zeros."""
    levels = len(spec.strides)
    return (
        _index("index/image_id", "int64", num_images),
        _index("index/file_name", "uint8", num_images, plan.name_bytes),
        _index("index/sha256", "uint8", num_images, 32),
        _index("index/orig_hw", "int32", num_images, 2),
        _index("index/hw", "int32", num_images, 2),
        _index("index/level_hw", "int16", num_images, levels, 2),
        _index("index/c1_hw", "int16", num_images, 2),
        _index("index/n_tokens", "int32", num_images),
        _index("index/valid", "uint8", num_images),
        _index("_units", "uint8", ceil(num_images / UNIT)),
    )


def create_arrays(group: zarr.Group, arrays: Sequence[ArrayLayout], codec: Codec) -> None:
    """Make the arrays in a group, without any data."""
    for array in arrays:
        group.create_array(
            array.name,
            shape=array.shape,
            dtype=array.dtype,
            chunks=array.chunks,
            shards=array.shards,
            filters=None,
            compressors=_compressors(array, codec),  # left out, zarr would choose zstd
            fill_value=0,
            chunk_key_encoding={"name": "default", "separator": "."},
        )


def open_arrays(
    path: Path, arrays: Sequence[ArrayLayout], codec: Codec, mode: Literal["r", "r+"] = "r"
) -> dict[str, ZarrArray]:
    """The arrays of the store at `path`, by name.

    Raises:
        StoreError: if one is missing, or its metadata are not what the layout says.
    """
    ideal = zarr.create_group(MemoryStore())
    create_arrays(ideal, arrays, codec)
    opened = {}
    for array in arrays:
        try:
            found = zarr.open_array(path / array.name, mode=mode, zarr_format=3)
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise StoreError(
                f"{path / array.name}/zarr.json is damaged ({error}); {REPAIR}"
            ) from error
        expected = ideal[array.name].metadata.to_dict()
        if wrong := [k for k, v in found.metadata.to_dict().items() if v != expected[k]]:
            raise StoreError(
                f"{path / array.name}/zarr.json is damaged ({wrong[0]} differs from the layout); "
                f"{REPAIR}"
            )
        opened[array.name] = found
    return opened


def restore_metadata(path: Path, arrays: Sequence[ArrayLayout], codec: Codec) -> None:
    """Write the `zarr.json` of the arrays and of the groups they lie in anew; data stays."""
    building = path.with_name(f".{path.name}.tmp-{uuid.uuid4().hex}")
    create_arrays(zarr.create_group(building), arrays, codec)
    for metadata in building.glob("*/**/zarr.json"):
        write_atomically(path / metadata.relative_to(building), metadata.read_bytes())
    shutil.rmtree(building)


def planned_bytes(identity: StoreIdentity, input_hw: Sequence[tuple[int, int]] | None) -> int:
    """About how large the store will be without a codec, before any image has been read."""
    spec = identity.spec
    if input_hw is None:
        input_hw = [resized_hw(spec.preprocessing, image.original_hw) for image in identity.images]
    sizes = np.array(input_hw, np.int64)
    values = _positions(sizes, spec.strides).sum() * spec.dim
    values += len(sizes) * spec.num_queries * (spec.dim + spec.num_logits)
    if identity.profile == "full":
        values += _positions(sizes, (spec.c1_stride,)).sum() * spec.c1_channels
    return int(values) * np.dtype(identity.dtype).itemsize + len(sizes) * spec.num_queries * 16


def _index(name: str, dtype: str, *shape: int) -> ArrayLayout:
    return ArrayLayout(name, dtype, shape, shape)


def _compressors(array: ArrayLayout, codec: Codec) -> list[Any]:
    """The codecs behind the element bytes; the checksum is the last and always there."""
    if codec == "none" or array.name.startswith(("index/", "_")):
        return [Crc32cCodec()]
    if codec == "zstd":
        return [ZstdCodec(level=1), Crc32cCodec()]
    width = np.dtype(array.dtype).itemsize
    blosc = BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle", typesize=width)
    return [blosc, Crc32cCodec()]


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
