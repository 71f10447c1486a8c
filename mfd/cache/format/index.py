"""The index arrays: the image list, written first, and the sizes of the maps, written last."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from fastcrc.crc32 import iscsi as crc32c

from mfd.cache.format.arrays import REPAIR
from mfd.cache.format.chunks import CRC_BYTES
from mfd.cache.format.layout import ArrayLayout
from mfd.cache.format.records import ImageRecord, StoreImage
from mfd.cache.format.shards import write_chunk
from mfd.errors import StoreError
from mfd.files import atomic_file, file_sha256
from mfd.images import Placement

Recorded = str | list[int]
"""What is recorded of a file that belongs to no unit, see `is_recorded`."""


def write_image_list(
    path: Path,
    arrays: Sequence[ArrayLayout],
    images: Sequence[StoreImage],
    placements: Sequence[Placement] = (),
) -> None:
    """Fill the index arrays that are known before any image has been read.

    Args:
        placements: of each image in its view; none of the view `base`.
    """
    names = [image.file_name.encode() for image in images]
    length = max(map(len, names))
    padded = b"".join(name.ljust(length, b"\0") for name in names)
    digests = b"".join(bytes.fromhex(image.sha256) for image in images)
    columns = {
        "index/image_id": np.array([image.image_id for image in images]),
        "index/orig_hw": np.array([image.original_hw for image in images]),
        "index/file_name": np.frombuffer(padded, np.uint8).reshape(len(images), length),
        "index/sha256": np.frombuffer(digests, np.uint8).reshape(len(images), 32),
        "index/placement": np.array([placement.to_json() for placement in placements]),
    }
    _write(path, arrays, columns)


def write_sizes(
    path: Path, arrays: Sequence[ArrayLayout], records: Sequence[ImageRecord | None]
) -> None:
    """Fill the index arrays that are known when all units are finished."""
    shapes = {array.name: array.shape for array in arrays}
    absent = ImageRecord((0, 0), ((0, 0),) * shapes["index/level_hw"][1], (0, 0))
    sizes = [record or absent for record in records]
    level_hw = np.array([size.level_hw for size in sizes])
    columns = {
        "index/hw": np.array([size.input_hw for size in sizes]),
        "index/level_hw": level_hw,
        "index/c1_hw": np.array([size.c1_hw for size in sizes]),
        "index/n_tokens": level_hw.prod(-1).sum(-1),
        "index/valid": np.array([record is not None for record in records]),
        "_units": np.ones(shapes["_units"]),
    }
    _write(path, arrays, columns)


def read_images(
    path: Path, arrays: Sequence[ArrayLayout], recorded: Mapping[str, Recorded] | None = None
) -> tuple[StoreImage, ...]:
    """The store's image list; arguments and errors are those of `read_index`."""
    ids, orig_hw, names, digests = (
        read_index(path, arrays, f"index/{name}", recorded)
        for name in ("image_id", "orig_hw", "file_name", "sha256")
    )
    return tuple(
        StoreImage(
            int(ids[row]),
            names[row].tobytes().rstrip(b"\0").decode(),
            (int(orig_hw[row, 0]), int(orig_hw[row, 1])),
            digests[row].tobytes().hex(),
        )
        for row in range(len(ids))
    )


def read_index(
    path: Path,
    arrays: Sequence[ArrayLayout],
    name: str,
    recorded: Mapping[str, Recorded] | None = None,
) -> np.ndarray:
    """The whole of one index array. Only its layout and its one chunk are read, no zarr.json.

    Args:
        arrays: the index arrays of the store.
        recorded: digests of the finished store's files by name; None in unfinished ones.

    Raises:
        StoreError: if it is missing or damaged.
    """
    array = next(array for array in arrays if array.name == name)
    file = path / array.file(0)
    try:
        content = file.read_bytes()
        payload, checksum = content[:-CRC_BYTES], content[-CRC_BYTES:]
        if crc32c(payload) != int.from_bytes(checksum, "little"):
            raise ValueError("its checksum differs")
        if recorded is not None and not is_recorded(file, recorded.get(array.file(0), "")):
            raise ValueError("it is not the file that was written")
        return np.frombuffer(payload, array.dtype).reshape(array.shape)
    except (ValueError, OSError) as error:
        raise StoreError(f"{path / name} is damaged ({error}); {REPAIR}") from error


def is_recorded(file: Path, recorded: Recorded) -> bool:
    """Whether a file that belongs to no unit is the one that was written.

    Args:
        recorded: its sha256, hex; of an earlier mfd its size and CRC-32C.
    """
    if isinstance(recorded, str):
        return file_sha256(file) == recorded
    content = file.read_bytes()
    return [len(content), crc32c(content)] == recorded


def _write(path: Path, arrays: Sequence[ArrayLayout], columns: Mapping[str, np.ndarray]) -> None:
    for array in arrays:
        if array.name in columns:
            with atomic_file(path / array.file(0)) as append:
                write_chunk(array, "none", columns[array.name], append)
