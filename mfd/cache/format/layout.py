"""The arrays of a store: names, shapes, chunks and shards.

A unit is 16 consecutive images. It fills exactly one shard of most arrays and four of `c1/map`,
and shares no file with another unit, so units are written, committed and repaired on their own.
Every image has the same room on the token axis; the chunks a short image does not reach are
absent from its shard and cost 16 bytes each.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, prod

import numpy as np

from mfd.cache.format.encodings import CONSTANT_DTYPE, ENCODINGS, Encoding
from mfd.cache.format.plan import Plan
from mfd.cache.format.profiles import UNIT, MapKind, map_kinds
from mfd.config import Profile, StoredDtype
from mfd.detectors import DetectorSpec


@dataclass(frozen=True)
class ArrayLayout:
    """One array; `shards` is None where a chunk is a file of its own.

    Args:
        formula: how values follow from what is stored; None where they are the same.
        planar: a codec gets each chunk with its last two axes exchanged.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None = None
    formula: str | None = None
    planar: bool = False

    @property
    def rows_per_file(self) -> int:
        """How many entries of the first axis lie in one file."""
        return (self.shards or self.chunks)[0]

    @property
    def file_bytes(self) -> int:
        """Of the element bytes of one file, before any codec."""
        return prod(self.shards or self.chunks) * np.dtype(self.dtype).itemsize

    def file(self, row: int) -> str:
        """The file, relative to the store, that holds an entry of the first axis."""
        zeros = ".0" * (len(self.shape) - 1)
        return f"{self.name}/c.{row // self.rows_per_file}{zeros}"


def data_arrays(
    spec: DetectorSpec, profile: Profile, dtype: StoredDtype, num_images: int, plan: Plan
) -> tuple[ArrayLayout, ...]:
    """The arrays that units fill; beside maps lie the constants of their encoding."""
    rows = ceil(num_images / UNIT) * UNIT
    encoding = ENCODINGS[dtype]
    small = encoding.query_dtype
    queries = (spec.num_queries, spec.dim)
    logits = (spec.num_queries, spec.num_logits)
    boxes = (spec.num_queries, 4)
    return (
        ArrayLayout("dec/box", "float32", (rows, *boxes), (UNIT, *boxes)),
        ArrayLayout("dec/query", small, (rows, *queries), (1, *queries), (UNIT, *queries)),
        ArrayLayout("dec/logit", small, (rows, *logits), (1, *logits), (UNIT, *logits)),
        *(
            a
            for kind in map_kinds(spec, profile)
            for a in _map_arrays(kind, spec, encoding, rows, plan)
        ),
    )


def _map_arrays(
    kind: MapKind, spec: DetectorSpec, encoding: Encoding, rows: int, plan: Plan
) -> Iterator[ArrayLayout]:
    """The array of one kind of maps, then those of its constants."""
    channels = kind.channels(spec)
    width = encoding.width(channels)
    room, chunk = plan.room(kind)
    places = {name: f"{kind.constant_array(name)}[{kind.where}]" for name in encoding.constants}
    yield ArrayLayout(
        kind.array,
        encoding.dtype,
        (rows, room, width),
        (1, chunk, width),
        (kind.images_per_shard, room, width),
        formula=encoding.formula and encoding.formula.format(**places),
        planar=encoding.planar,
    )
    shape = (len(kind.strides(spec)), channels) if kind.per_level else (channels,)
    for name in encoding.constants:
        yield ArrayLayout(kind.constant_array(name), CONSTANT_DTYPE, (rows, *shape), (UNIT, *shape))


def index_arrays(
    spec: DetectorSpec, num_images: int, plan: Plan, view: str = "base"
) -> tuple[ArrayLayout, ...]:
    """The arrays about all images, one chunk each; `file_name` is UTF-8 padded with zeros.

    `placement`, which says where each image lies in its view (`Placement.to_json`), is left out of
    stores of the view `base`.
    `_units` holds ones and tells nothing: it makes the journal's folder a member of the group.
    """
    levels = len(spec.strides)
    placed = () if view == "base" else (_index("index/placement", "int32", num_images, 13),)
    return (
        _index("index/image_id", "int64", num_images),
        _index("index/file_name", "uint8", num_images, plan.name_bytes),
        _index("index/sha256", "uint8", num_images, 32),
        _index("index/orig_hw", "int32", num_images, 2),
        *placed,
        _index("index/hw", "int32", num_images, 2),
        _index("index/level_hw", "int16", num_images, levels, 2),
        _index("index/c1_hw", "int16", num_images, 2),
        _index("index/n_tokens", "int32", num_images),
        _index("index/valid", "uint8", num_images),
        _index("_units", "uint8", ceil(num_images / UNIT)),
    )


def _index(name: str, dtype: str, *shape: int) -> ArrayLayout:
    return ArrayLayout(name, dtype, shape, shape)
