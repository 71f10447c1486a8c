"""Reading one image's part of an array: the standard zarr files, without zarr.

Reading an image through zarr-python takes 3 to 9 times the CPU time of this, all of it on the one
thread of zarr's event loop, and gives zeros for a file that is missing.
"""

import os
from collections.abc import Callable, Mapping
from math import ceil
from pathlib import Path

import google_crc32c
import numpy as np
from numcodecs.blosc import Blosc  # type: ignore[import-untyped]
from numcodecs.zstd import Zstd  # type: ignore[import-untyped]

from mfd.cache.format.layout import ArrayLayout
from mfd.config import Codec

_ABSENT = 2**64 - 1  # the offset of a chunk of zeros
_CRC_BYTES = 4
_DECODERS: Mapping[Codec, Callable[[np.ndarray], bytes]] = {
    "zstd": Zstd().decode,
    "blosc": Blosc().decode,
}


def read_row(
    store: Path, array: ArrayLayout, codec: Codec, row: int, length: int, file_size: int | None
) -> np.ndarray:
    """The first `length` entries of one row of an array, checked by their checksums.

    Args:
        row: along the first axis.
        file_size: of the file that holds the row; None if all it would hold is zeros.

    Raises:
        ValueError: if the file has another size, or a checksum differs.
        OSError: if it cannot be read.
    """
    path = store / array.file(row)
    if file_size is None:
        if path.exists():
            raise ValueError("there but was never committed")
        return np.zeros((length, *array.shape[2:]), array.dtype)
    with path.open("rb", buffering=0) as file:
        found = os.fstat(file.fileno()).st_size
        if found != file_size:
            raise ValueError(f"{found} bytes long, expected {file_size}")
        return _read(file.fileno(), array, codec, row % array.rows_per_file, length, file_size)


def _read(
    file: int, array: ArrayLayout, codec: Codec, row: int, length: int, file_size: int
) -> np.ndarray:
    if array.shards is None:
        chunk = np.empty(array.chunks, array.dtype)
        _read_chunk(file, 0, file_size, codec, chunk)
        return chunk[row, :length]
    step = array.chunks[1]
    index = np.empty((array.shards[0], array.shards[1] // step, 2), "<u8")  # offset, bytes
    index_bytes = index.nbytes + _CRC_BYTES
    _read_chunk(file, file_size - index_bytes, index_bytes, "none", index)
    values = np.empty((ceil(length / step) * step, *array.shape[2:]), array.dtype)
    for number, part in enumerate(values.reshape(-1, step, *array.shape[2:])):
        offset, num_bytes = index[row, number].tolist()
        if offset == _ABSENT:
            part.fill(0)
        else:
            _read_chunk(file, offset, num_bytes, codec, part)
    return values[:length]


def _read_chunk(file: int, offset: int, num_bytes: int, codec: Codec, out: np.ndarray) -> None:
    """Fill `out` with a chunk: its encoded values, then their CRC-32C."""
    values = out.reshape(-1).view(np.uint8)
    encoded = values if codec == "none" else np.empty(num_bytes - _CRC_BYTES, np.uint8)
    checksum = bytearray(_CRC_BYTES)
    if encoded.nbytes + _CRC_BYTES != num_bytes:
        raise ValueError(f"a chunk of {num_bytes} bytes, expected {encoded.nbytes + _CRC_BYTES}")
    if os.preadv(file, [encoded.data, checksum], offset) != num_bytes:
        raise ValueError(f"the file ends within the {num_bytes} bytes at {offset}")
    if google_crc32c.value(encoded) != int.from_bytes(checksum, "little"):
        raise ValueError(f"the checksum of the {num_bytes} bytes at {offset} differs")
    if codec != "none":
        values[:] = np.frombuffer(_DECODERS[codec](encoded), np.uint8)
