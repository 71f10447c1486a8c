from pathlib import Path

import numpy as np
import pytest
import zarr

from mfd.cache.format.arrays import create_arrays
from mfd.cache.format.chunks import read_row
from mfd.cache.format.layout import ArrayLayout
from mfd.cache.format.records import FileRecord
from mfd.config import Codec

SHARDED = ArrayLayout("a/b", "float16", (32, 21, 5), (1, 3, 5), (16, 21, 5))
PLANAR = ArrayLayout("a/p", "int8", (32, 21, 5), (1, 3, 5), (16, 21, 5), planar=True)
SINGLE = ArrayLayout("a/c", "float32", (32, 7, 2), (16, 7, 2))


@pytest.fixture(params=["none", "zstd", "blosc"])
def codec(request: pytest.FixtureRequest) -> Codec:
    return request.param


def write(folder: Path, array: ArrayLayout, codec: Codec) -> np.ndarray:
    """Random values of all rows, some of them of zeros, written by plain zarr."""
    values = np.random.default_rng(0).normal(0, 9, array.shape).astype(array.dtype)
    values[3], values[5, 3:], values[17, 1:2] = 0, 0, 0
    group = zarr.create_group(folder, overwrite=True)
    create_arrays(group, [array], codec)
    plain = group[array.name]
    assert isinstance(plain, zarr.Array)
    plain[...] = values
    return values


def size(folder: Path, array: ArrayLayout, row: int) -> FileRecord:
    return FileRecord((folder / array.file(row)).stat().st_size)


@pytest.mark.parametrize("array", [SHARDED, PLANAR, SINGLE], ids=["sharded", "planar", "single"])
def test_rows_that_plain_zarr_wrote_are_read_to_any_length(
    tmp_path: Path, array: ArrayLayout, codec: Codec
) -> None:
    values = write(tmp_path, array, codec)
    for row in (0, 3, 5, 15, 16, 17, 31):
        for length in (0, 1, 2, 3, 4, 7, array.shape[1]):
            found = read_row(tmp_path, array, codec, row, length, size(tmp_path, array, row))
            assert found.dtype == values.dtype
            assert np.array_equal(found, values[row, :length])


def test_a_file_that_was_never_written_is_one_of_zeros_and_must_not_be_there(
    tmp_path: Path,
) -> None:
    zeros = read_row(tmp_path, SHARDED, "none", 7, 4, None)
    assert zeros.shape == (4, 5)
    assert not zeros.any()
    write(tmp_path, SHARDED, "none")
    with pytest.raises(ValueError, match="never committed"):
        read_row(tmp_path, SHARDED, "none", 7, 4, None)


def test_a_missing_file_and_one_of_another_length_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_row(tmp_path, SHARDED, "none", 7, 4, FileRecord(999))
    write(tmp_path, SHARDED, "none")
    found = size(tmp_path, SHARDED, 7)
    with pytest.raises(ValueError, match=f"{found.size} bytes long, expected 999"):
        read_row(tmp_path, SHARDED, "none", 7, 4, FileRecord(999))


@pytest.mark.parametrize("array", [SHARDED, SINGLE], ids=["sharded", "single"])
def test_every_changed_byte_fails_the_rows_that_depend_on_it_and_no_other(
    tmp_path: Path, array: ArrayLayout, codec: Codec
) -> None:
    values = write(tmp_path, array, codec)
    path = tmp_path / array.file(0)
    content, length = path.read_bytes(), array.shape[1]
    failures = np.zeros(len(content), np.int64)
    for position in range(0, len(content), 29):
        damaged = bytearray(content)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        for row in range(16):
            try:
                found = read_row(tmp_path, array, codec, row, length, FileRecord(len(content)))
            except ValueError:
                failures[position] += 1
            else:
                assert np.array_equal(found, values[row])
    assert set(failures[::29]) == ({1, 16} if array.shards else {16})  # an index serves all rows
