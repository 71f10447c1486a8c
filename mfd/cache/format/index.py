"""The index arrays: the image list, written first, and the sizes of the maps, written last."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import zarr

from mfd.cache.format.arrays import REPAIR, encode
from mfd.cache.format.layout import ArrayLayout
from mfd.cache.format.records import ImageRecord, StoreImage
from mfd.errors import StoreError
from mfd.files import write_atomically


def write_image_list(
    path: Path, arrays: Sequence[ArrayLayout], images: Sequence[StoreImage]
) -> None:
    """Fill the index arrays that are known before any image has been read."""
    names = [image.file_name.encode() for image in images]
    length = max(map(len, names))
    padded = b"".join(name.ljust(length, b"\0") for name in names)
    digests = b"".join(bytes.fromhex(image.sha256) for image in images)
    columns = {
        "index/image_id": np.array([image.image_id for image in images]),
        "index/orig_hw": np.array([image.original_hw for image in images]),
        "index/file_name": np.frombuffer(padded, np.uint8).reshape(len(images), length),
        "index/sha256": np.frombuffer(digests, np.uint8).reshape(len(images), 32),
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


def read_images(path: Path) -> tuple[StoreImage, ...]:
    """The store's image list.

    Raises:
        StoreError: if an index array is damaged.
    """
    ids, orig_hw, names, digests = (
        read_index(path, f"index/{name}") for name in ("image_id", "orig_hw", "file_name", "sha256")
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


def read_index(path: Path, name: str) -> np.ndarray:
    """The whole of one index array.

    Raises:
        StoreError: if it is missing or damaged.
    """
    array = path / name
    try:
        if not any(array.glob("c.*")):  # zarr would read zeros
            raise ValueError("its chunk is missing")
        return np.asarray(zarr.open_array(array, mode="r", zarr_format=3)[...])
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise StoreError(f"{array} is damaged ({error}); {REPAIR}") from error


def _write(path: Path, arrays: Sequence[ArrayLayout], columns: Mapping[str, np.ndarray]) -> None:
    for array in arrays:
        if array.name in columns:
            content = encode(array, "none", columns[array.name])
            assert content is not None  # an array without shards has a file of zeros, too
            write_atomically(path / array.file(0), content)
