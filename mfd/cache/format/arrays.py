"""The zarr arrays of a store: created, opened and compared with the layout."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec, TransposeCodec, ZstdCodec
from zarr.storage import MemoryStore

from mfd.cache.format.layout import ArrayLayout
from mfd.config import Codec
from mfd.errors import StoreError

REPAIR = "run `mfd cache verify --repair` and extract again"
ZarrArray = zarr.Array[Any]


def create_arrays(group: zarr.Group, arrays: Sequence[ArrayLayout], codec: Codec) -> None:
    """Make the arrays in a group, without any data."""
    for array in arrays:
        _create(group, array, array.shape, codec)


def open_arrays(path: Path, arrays: Sequence[ArrayLayout], codec: Codec) -> Mapping[str, ZarrArray]:
    """The arrays of the store at `path`, by name, for reading.

    Raises:
        StoreError: if one is missing, or its metadata are not what the layout says.
    """
    ideal = zarr.create_group(MemoryStore())
    create_arrays(ideal, arrays, codec)
    opened = {}
    for array in arrays:
        metadata = path / array.name / "zarr.json"
        try:
            found = zarr.open_array(path / array.name, mode="r", zarr_format=3)
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise StoreError(f"{metadata} is damaged ({error}); {REPAIR}") from error
        fields, expected = found.metadata.to_dict(), ideal[array.name].metadata.to_dict()
        names = sorted(fields.keys() | expected.keys())
        if wrong := [name for name in names if fields.get(name) != expected.get(name)]:
            raise StoreError(
                f"{metadata} is damaged ({wrong[0]} differs from the layout); {REPAIR}"
            )
        opened[array.name] = found
    return opened


def _create(
    group: zarr.Group, array: ArrayLayout, shape: tuple[int, ...], codec: Codec
) -> ZarrArray:
    return group.create_array(
        array.name,
        shape=shape,
        dtype=array.dtype,
        chunks=array.chunks,
        shards=array.shards,
        filters=[TransposeCodec(order=(0, 2, 1))] if array.planar and codec != "none" else None,
        compressors=_compressors(array, codec),  # left out, zarr would choose zstd
        fill_value=0,
        attributes={} if array.formula is None else {"formula": array.formula},
        chunk_key_encoding={"name": "default", "separator": "."},
        config={"write_empty_chunks": array.shards is None},  # so that a file is there
    )


def _compressors(array: ArrayLayout, codec: Codec) -> list[Any]:
    """The codecs behind the element bytes; the checksum is the last and always there."""
    if codec == "none" or array.name.startswith(("index/", "_")):
        return [Crc32cCodec()]
    if codec == "zstd":
        return [ZstdCodec(level=1), Crc32cCodec()]
    width = np.dtype(array.dtype).itemsize
    blosc = BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle", typesize=width)
    return [blosc, Crc32cCodec()]
