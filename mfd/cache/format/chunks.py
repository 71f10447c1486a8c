"""Reading one image's part of an array: the standard zarr files, without zarr.

Reading an image through zarr-python takes 3 to 9 times the CPU time of this, all of it on the one
thread of zarr's event loop, and gives zeros for a file that is missing.
"""

import os
import weakref
from collections.abc import Callable, Iterable, Mapping
from math import ceil, prod
from pathlib import Path

import numpy as np
from fastcrc.crc32 import iscsi as crc32c
from numcodecs.blosc import Blosc  # type: ignore[import-untyped]
from numcodecs.zstd import Zstd  # type: ignore[import-untyped]

from mfd.cache.format.layout import ArrayLayout
from mfd.cache.format.records import FileRecord
from mfd.config import Codec

ABSENT = 2**64 - 1  # the offset of a chunk of zeros
CRC_BYTES = 4
ALIGNMENT = 64
"""Bytes modulo which a chunk lies in its file as in memory; copies are 1.4 times as fast then."""

_DECODERS: Mapping[Codec, Callable[[np.ndarray], bytes]] = {
    "zstd": Zstd().decode,
    "blosc": Blosc().decode,
}


def row_digest(checksums: Iterable[tuple[int, int]]) -> int:
    """32 bits that say what a row holds, from the number and CRC-32C of each chunk it has.

    A checksum of the whole file would say nothing: a chunk is followed by its own CRC-32C, and the
    CRC-32C of both is the same for every chunk of a length.
    """
    return crc32c(np.array([*checksums], "<u4").tobytes())


class ArrayFile:
    """One file of an array, open for reading until nobody holds it.

    It stays what it was when it was opened, though its name may be gone or another file's since.

    Raises:
        OSError: if it cannot be opened.
    """

    def __init__(self, path: str, array: ArrayLayout) -> None:
        self._file, self._array = os.open(path, os.O_RDONLY), array
        weakref.finalize(self, os.close, self._file)
        self.size = os.fstat(self._file).st_size
        self._index: np.ndarray | None = None
        self._block: tuple[np.ndarray, int] | None = None

    def read(self, codec: Codec, row: int, length: int) -> tuple[np.ndarray, int]:
        """The first `length` entries of a row, counted in this file, and `row_digest` of the row.

        Raises:
            ValueError: if a checksum differs.
            OSError: if the disk fails.
        """
        array = self._array
        if array.shards is None:
            block, digest = self._whole(codec)
            return block[row, :length].copy(), digest
        step = array.chunks[1]
        values = _aligned((ceil(length / step) * step, *array.shape[2:]), array.dtype)
        places, checksums = self._places()[row].tolist(), []
        for number, part in enumerate(values.reshape(-1, step, *array.shape[2:])):
            offset, num_bytes = places[number]
            if offset == ABSENT:
                part.fill(0)
            else:
                checksums.append((number, self._chunk(offset, num_bytes, codec, part)))
        return values[:length], row_digest(checksums)

    def require_gaps(self) -> None:
        """Look at the bytes between chunks, which nothing else reads.

        Raises:
            ValueError: they are not zeros.
        """
        if self._array.shards is None:
            return
        places = self._places().reshape(-1, 2)
        end = 0
        for offset, num_bytes in sorted(places[places[:, 0] != ABSENT].tolist()):
            if any(os.pread(self._file, offset - end, end)):
                raise ValueError(f"the {offset - end} bytes at {end} are not zeros")
            end = offset + num_bytes

    def _whole(self, codec: Codec) -> tuple[np.ndarray, int]:
        """The one chunk of a file without shards, read once, and its digest."""
        if self._block is None:
            block = np.empty(self._array.chunks, self._array.dtype)
            self._block = block, row_digest([(0, self._chunk(0, self.size, codec, block))])
        return self._block

    def _places(self) -> np.ndarray:
        """Offset and length of each chunk of each row, read once."""
        if self._index is None:
            assert self._array.shards is not None
            rows, chunks = self._array.shards[0], self._array.shards[1] // self._array.chunks[1]
            index = np.empty((rows, chunks, 2), "<u8")
            index_bytes = index.nbytes + CRC_BYTES
            self._chunk(self.size - index_bytes, index_bytes, "none", index)
            self._index = index
        return self._index

    def _chunk(self, offset: int, num_bytes: int, codec: Codec, out: np.ndarray) -> int:
        """Fill `out` with a chunk: its encoded values, then their CRC-32C, which is returned."""
        values = out.reshape(-1).view(np.uint8)
        encoded = values if codec == "none" else _aligned((num_bytes - CRC_BYTES,), "uint8")
        checksum = bytearray(CRC_BYTES)
        if encoded.nbytes + CRC_BYTES != num_bytes:
            raise ValueError(f"a chunk of {num_bytes} bytes, expected {encoded.nbytes + CRC_BYTES}")
        if os.preadv(self._file, [encoded.data, checksum], offset) != num_bytes:
            raise ValueError(f"the file ends within the {num_bytes} bytes at {offset}")
        if (found := crc32c(encoded.data)) != int.from_bytes(checksum, "little"):
            raise ValueError(f"the checksum of the {num_bytes} bytes at {offset} differs")
        if codec != "none":
            decoded = np.frombuffer(_DECODERS[codec](encoded), out.dtype)
            place = out.T if self._array.planar else out
            place[...] = decoded.reshape(place.shape)
        return found


def _aligned(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    size = prod(shape) * np.dtype(dtype).itemsize
    block = np.empty(size + ALIGNMENT, np.uint8)
    return block[-block.ctypes.data % ALIGNMENT :][:size].view(dtype).reshape(shape)


def read_row(
    store: Path,
    array: ArrayLayout,
    codec: Codec,
    row: int,
    length: int,
    record: FileRecord | None,
    open_file: Callable[[str, ArrayLayout], ArrayFile] = ArrayFile,
) -> np.ndarray:
    """The first `length` entries of one row of an array, which are those that were committed.

    Args:
        row: along the first axis.
        length: reaches at least the last chunk that the row has.
        record: of the file that holds the row; None if all it would hold is zeros.
        open_file: may give one that is open already.

    Raises:
        ValueError: if the file has another size, a checksum differs, or it holds other values.
        OSError: if it cannot be read.
    """
    path = f"{store}/{array.file(row)}"  # a Path takes a tenth of the reading's time
    if record is None:
        if os.path.exists(path):
            raise ValueError("there but was never committed")
        return np.zeros((length, *array.shape[2:]), array.dtype)
    file = open_file(path, array)
    if file.size != record.size:
        raise ValueError(f"{file.size} bytes long, expected {record.size}")
    place = row % array.rows_per_file
    values, digest = file.read(codec, place, length)
    if record.rows and digest != record.rows[place if array.shards else 0]:
        raise ValueError(f"row {place} holds other values than were written")
    return values
