"""Making the files of an array: the standard zarr format, without zarr.

zarr-python would copy all values twice and compare them with zeros. Here values without a codec
are not copied at all: a file is written in pieces, most of them the detector's own arrays.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod

import numpy as np
from fastcrc.crc32 import iscsi as crc32c
from numcodecs.blosc import Blosc  # type: ignore[import-untyped]
from numcodecs.zstd import Zstd  # type: ignore[import-untyped]

from mfd.cache.format.chunks import ABSENT, ALIGNMENT, CRC_BYTES, row_digest
from mfd.cache.format.layout import ArrayLayout
from mfd.cache.format.records import FileRecord
from mfd.config import Codec

Row = Sequence[np.ndarray]
"""What an array has of one image: pieces to be laid one after the other from the beginning."""

Append = Callable[[np.ndarray | bytes], None]
"""Takes the next piece of a file, which stays as it is until the file is closed."""

_ENCODERS: Mapping[Codec, Callable[[np.ndarray], bytes]] = {
    "zstd": Zstd(level=1).encode,
    "blosc": Blosc(cname="lz4", clevel=5, shuffle=Blosc.BITSHUFFLE).encode,
}


def write_file(array: ArrayLayout, codec: Codec, rows: Sequence[Row], append: Append) -> FileRecord:
    """Append the content of one file of an array, piece by piece; returns its record.

    Each chunk is appended right after its checksum was computed, while a CPU's cache holds it, and
    after as many zeros as `ALIGNMENT` asks for.

    Args:
        rows: those that lie in the file, from its first; empty ones, and those left out at the
            end, are zeros.
    """
    if array.shards is None:
        block = np.zeros(array.chunks, array.dtype)
        for place, row in zip(block, rows, strict=False):
            if row:
                np.concatenate(row, out=place[: sum(map(len, row))])
        return write_chunk(array, codec, block, append)
    index = np.full((array.shards[0], array.shards[1] // array.chunks[1], 2), ABSENT, "<u8")
    chunk_bytes = prod(array.chunks) * np.dtype(array.dtype).itemsize
    digests = []
    size = 0
    for place, row in zip(index, [*rows, *[()] * (len(index) - len(rows))], strict=True):
        checksums = []
        for number, parts in enumerate(_chunks(array, row)):
            in_memory = number * chunk_bytes if codec == "none" else 0
            gap = (in_memory - size) % ALIGNMENT
            append(bytes(gap))
            size += gap
            num_bytes, checksum = _append_chunk(_encoded(parts, array, codec), append)
            place[number] = size, num_bytes
            checksums.append((number, checksum))
            size += num_bytes
        digests.append(row_digest(checksums))
    of_index, _ = _append_chunk([_bytes(index)], append)
    return FileRecord(size + of_index, tuple(digests))


def write_chunk(array: ArrayLayout, codec: Codec, block: np.ndarray, append: Append) -> FileRecord:
    """As `write_file`, of an array without shards: all values of the file as one block."""
    values = _bytes(block.astype(array.dtype, copy=False))
    size, checksum = _append_chunk(_encoded([values], array, codec), append)
    return FileRecord(size, (row_digest([(0, checksum)]),))


def _chunks(array: ArrayLayout, row: Row) -> Iterator[list[np.ndarray]]:
    """The bytes of each chunk that a row reaches, in pieces; zeros fill up the last one."""
    size = int(np.prod(array.chunks)) * np.dtype(array.dtype).itemsize
    parts: list[np.ndarray] = []
    room = size
    for piece in row:
        values = _bytes(piece)
        while len(values):
            part, values = values[:room], values[room:]
            parts.append(part)
            room -= len(part)
            if room == 0:
                yield parts
                parts, room = [], size
    if parts:
        yield [*parts, np.zeros(room, np.uint8)]


def _encoded(parts: list[np.ndarray], array: ArrayLayout, codec: Codec) -> list[np.ndarray]:
    """The bytes of a chunk as the codec makes them."""
    if codec == "none":
        return parts
    values = np.concatenate(parts).view(array.dtype)
    if array.planar:
        values = np.ascontiguousarray(values.reshape(array.chunks[1:]).T)
    return [np.frombuffer(_ENCODERS[codec](values), np.uint8)]


def _append_chunk(parts: Sequence[np.ndarray], append: Append) -> tuple[int, int]:
    """Append a chunk and its CRC-32C; returns how many bytes these are, and the CRC-32C."""
    checksum = 0
    for part in parts:
        checksum = crc32c(part.data, checksum)
        append(part)
    append(checksum.to_bytes(CRC_BYTES, "little"))
    return sum(part.nbytes for part in parts) + CRC_BYTES, checksum


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8)
