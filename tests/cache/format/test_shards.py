"""Files as plain zarr reads and writes them, and what is recorded of them."""

import os
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
import zarr

from mfd.cache.format.arrays import create_arrays
from mfd.cache.format.chunks import ABSENT, ALIGNMENT, ArrayFile, read_row
from mfd.cache.format.layout import ArrayLayout
from mfd.cache.format.records import FileRecord
from mfd.cache.format.shards import write_chunk, write_file
from mfd.config import Codec

ARRAY = ArrayLayout("a/b", "float16", (48, 9, 5), (1, 3, 5), (16, 9, 5))
LENGTHS = (9, 8, 1, 0, 3, 4, 6, 7, 9, 2, 5, 9, 1)  # of 13 rows; three more have nothing


def values(dtype: str = "float16") -> np.ndarray:
    """Random values of one shard, without a chunk of zeros, as far as each row reaches."""
    block = np.random.default_rng(0).normal(0, 9, (16, 9, 5)).astype(dtype)
    block[block == 0] = 1
    for row, length in enumerate((*LENGTHS, 0, 0, 0)):
        block[row, length:] = 0
    return block


def joined(block: np.ndarray) -> list[list[np.ndarray]]:
    """Its rows in pieces of unequal lengths."""
    return [
        [] if not length else [block[row, : length // 3], block[row, length // 3 : length]]
        for row, length in enumerate(LENGTHS)
    ]


def written(
    array: ArrayLayout, rows: list[list[np.ndarray]], codec: Codec = "none"
) -> tuple[bytes, FileRecord]:
    """The content of a file, and its record."""
    pieces: list[np.ndarray | bytes] = []
    record = write_file(array, codec, rows, pieces.append)
    return b"".join(map(bytes, pieces)), record


@pytest.mark.parametrize("codec", ["none", "zstd", "blosc"])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "float32", "int8", "uint8"])
def test_a_file_is_read_by_plain_zarr_and_its_chunks_are_those_that_zarr_writes(
    tmp_path: Path, codec: Codec, dtype: str, planar: bool
) -> None:
    array = ArrayLayout("a/b", dtype, ARRAY.shape, ARRAY.chunks, ARRAY.shards, planar=planar)
    block = values(dtype)
    group = zarr.create_group(tmp_path)
    create_arrays(group, [array], codec)
    plain = group["a/b"]
    assert isinstance(plain, zarr.Array)
    plain[16:32] = block
    theirs = (tmp_path / array.file(16)).read_bytes()
    ours, record = written(array, joined(block), codec)
    assert len(theirs) <= record.size == len(ours)
    assert chunks(ours) == chunks(theirs)
    (tmp_path / array.file(0)).write_bytes(ours)
    assert np.array_equal(plain[:16], block)


def chunks(content: bytes) -> list[bytes | None]:
    """Those of a shard in the order of its rows; None for one that is left out."""
    index = np.frombuffer(content[-(16 * 3 * 16 + 4) : -4], "<u8").reshape(-1, 2).tolist()
    return [None if start == ABSENT else content[start : start + size] for start, size in index]


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_a_chunk_lies_in_its_file_as_in_the_memory_it_is_read_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: Codec
) -> None:
    content, record = written(ARRAY, joined(values()), codec)
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / ARRAY.file(0)).write_bytes(content)
    calls: list[tuple[int, int]] = []
    preadv = os.preadv

    def recorded(file: int, buffers: list[memoryview], offset: int) -> int:
        address = np.frombuffer(buffers[0], np.uint8).ctypes.data
        calls.append((address % ALIGNMENT, offset % ALIGNMENT))
        return preadv(file, buffers, offset)

    file = ArrayFile(str(tmp_path / ARRAY.file(0)), ARRAY)
    file.read(codec, 0, 9)  # the index, too, which lies anywhere
    monkeypatch.setattr(os, "preadv", recorded)
    for row, length in enumerate(LENGTHS):
        file.read(codec, row, length)
    assert len(calls) == sum(-(-length // 3) for length in LENGTHS)
    assert all(address == offset for address, offset in calls)
    assert record.size == len(content)


def test_bytes_between_chunks_are_zeros_or_refused(tmp_path: Path) -> None:
    content, _ = written(ARRAY, joined(values()))
    (tmp_path / "a/b").mkdir(parents=True)
    path = tmp_path / ARRAY.file(0)
    path.write_bytes(content)
    ArrayFile(str(path), ARRAY).require_gaps()
    first_chunk = 3 * 5 * 2 + 4
    damaged = bytearray(content)
    damaged[first_chunk + 1] = 1
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=f"bytes at {first_chunk} are not zeros"):
        ArrayFile(str(path), ARRAY).require_gaps()


def test_chunks_of_zeros_are_stored_and_read_as_such_by_plain_zarr(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path)
    create_arrays(group, [ARRAY], "none")
    block = values()
    block[6, 3:6], block[7, :7] = 0, -0.0
    content, record = written(ARRAY, joined(block))
    (tmp_path / ARRAY.file(0)).write_bytes(content)
    assert zarr.open_group(tmp_path)["a/b"][:16].tobytes() == block.tobytes()  # type: ignore[index, union-attr]
    for row, length in enumerate(LENGTHS):
        assert np.array_equal(
            read_row(tmp_path, ARRAY, "none", row, length, record), block[row, :length]
        )


def test_a_file_without_shards_is_its_values_and_their_checksum() -> None:
    array = ArrayLayout("a", "float16", (32, 4), (16, 4))
    expected = bytes(128) + google_crc32c.value(bytes(128)).to_bytes(4, "little")
    pieces: list[np.ndarray | bytes] = []
    record = write_chunk(array, "none", np.zeros((16, 4)), pieces.append)
    assert (b"".join(map(bytes, pieces)), record.size) == (expected, 132)
    content, record = written(array, [[np.zeros(4, np.float16)], []])
    assert (content, record.size) == (expected, 132)


def test_a_record_tells_files_of_one_size_apart_by_the_row_that_differs() -> None:
    block = values()
    _, before = written(ARRAY, joined(block))
    block[4, 2, 3] += 1
    _, after = written(ARRAY, joined(block))
    assert before.size == after.size
    assert before.rows is not None
    assert after.rows is not None
    assert [a == b for a, b in zip(before.rows, after.rows, strict=True)].index(False) == 4
    assert sum(a != b for a, b in zip(before.rows, after.rows, strict=True)) == 1


def test_a_chunk_in_the_place_of_another_is_noticed(tmp_path: Path) -> None:
    block = values()
    found, record = written(ARRAY, joined(block))
    content = bytearray(found)
    index = np.frombuffer(content[-(16 * 3 * 16 + 4) : -4], "<u8").reshape(16, 3, 2)
    (to, size), (origin, _) = index[8, 1].tolist(), index[0, 1].tolist()
    content[to : to + size] = content[origin : origin + size]  # sound in itself
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / ARRAY.file(0)).write_bytes(content)
    with pytest.raises(ValueError, match="row 8 holds other values than were written"):
        read_row(tmp_path, ARRAY, "none", 8, 9, record)
    old = FileRecord(record.size)  # of an earlier mfd, which could not tell
    assert np.array_equal(read_row(tmp_path, ARRAY, "none", 8, 9, old)[3:6], block[0, 3:6])
    assert np.array_equal(read_row(tmp_path, ARRAY, "none", 0, 9, record), block[0])
