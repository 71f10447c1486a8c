"""Reading one image's part of an array: the standard zarr files, without zarr.

Reading an image through zarr-python takes 3 to 9 times the CPU time of this, all of it on the one
thread of zarr's event loop, and gives zeros for a file that is missing.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from math import ceil
from pathlib import Path

import google_crc32c
import numpy as np
from numcodecs.blosc import Blosc  # type: ignore[import-untyped]
from numcodecs.zstd import Zstd  # type: ignore[import-untyped]

from mfd.cache.format.layout import ArrayLayout
from mfd.cache.format.records import FileRecord
from mfd.config import Codec

ABSENT = 2**64 - 1  # the offset of a chunk of zeros
CRC_BYTES = 4
_DECODERS: Mapping[Codec, Callable[[np.ndarray], bytes]] = {
    "zstd": Zstd().decode,
    "blosc": Blosc().decode,
}


def row_digest(checksums: Iterable[tuple[int, int]]) -> int:
    """32 bits that say what a row holds, from the number and CRC-32C of each chunk it has.

    A checksum of the whole file would say nothing: a chunk is followed by its own CRC-32C, and the
    CRC-32C of both is the same for every chunk of a length.
    """
    return google_crc32c.value(np.array([*checksums], "<u4").tobytes())


def read_row(
    store: Path,
    array: ArrayLayout,
    codec: Codec,
    row: int,
    length: int,
    record: FileRecord | None,
) -> np.ndarray:
    """The first `length` entries of one row of an array, which are those that were committed.

    Args:
        row: along the first axis.
        length: reaches at least the last chunk that the row has.
        record: of the file that holds the row; None if all it would hold is zeros.

    Raises:
        ValueError: if the file has another size, a checksum differs, or it holds other values.
        OSError: if it cannot be read.
    """
    path = store / array.file(row)
    if record is None:
        if path.exists():
            raise ValueError("there but was never committed")
        return np.zeros((length, *array.shape[2:]), array.dtype)
    with path.open("rb", buffering=0) as file:
        found = os.fstat(file.fileno()).st_size
        if found != record.size:
            raise ValueError(f"{found} bytes long, expected {record.size}")
        place = row % array.rows_per_file
        values, digest = _read(file.fileno(), array, codec, place, length, record.size)
    if record.rows and digest != record.rows[place if array.shards else 0]:
        raise ValueError(f"row {place} holds other values than were written")
    return values


def _read(
    file: int, array: ArrayLayout, codec: Codec, row: int, length: int, file_size: int
) -> tuple[np.ndarray, int]:
    """The values, and `row_digest` of them."""
    if array.shards is None:
        chunk = np.empty(array.chunks, array.dtype)
        checksum = _read_chunk(file, 0, file_size, codec, chunk)
        return chunk[row, :length], row_digest([(0, checksum)])
    step = array.chunks[1]
    index = np.empty((array.shards[0], array.shards[1] // step, 2), "<u8")  # offset, bytes
    index_bytes = index.nbytes + CRC_BYTES
    _read_chunk(file, file_size - index_bytes, index_bytes, "none", index)
    values = np.empty((ceil(length / step) * step, *array.shape[2:]), array.dtype)
    checksums = []
    for number, part in enumerate(values.reshape(-1, step, *array.shape[2:])):
        offset, num_bytes = index[row, number].tolist()
        if offset == ABSENT:
            part.fill(0)
        else:
            checksums.append((number, _read_chunk(file, offset, num_bytes, codec, part)))
    return values[:length], row_digest(checksums)


def _read_chunk(file: int, offset: int, num_bytes: int, codec: Codec, out: np.ndarray) -> int:
    """Fill `out` with a chunk: its encoded values, then their CRC-32C, which is returned."""
    values = out.reshape(-1).view(np.uint8)
    encoded = values if codec == "none" else np.empty(num_bytes - CRC_BYTES, np.uint8)
    checksum = bytearray(CRC_BYTES)
    if encoded.nbytes + CRC_BYTES != num_bytes:
        raise ValueError(f"a chunk of {num_bytes} bytes, expected {encoded.nbytes + CRC_BYTES}")
    if os.preadv(file, [encoded.data, checksum], offset) != num_bytes:
        raise ValueError(f"the file ends within the {num_bytes} bytes at {offset}")
    if (found := google_crc32c.value(encoded)) != int.from_bytes(checksum, "little"):
        raise ValueError(f"the checksum of the {num_bytes} bytes at {offset} differs")
    if codec != "none":
        values[:] = np.frombuffer(_DECODERS[codec](encoded), np.uint8)
    return found
