"""Programs that read zarr read a store byte for byte: zarr-python, zarrs and TensorStore."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import zarr

from mfd.cache import StoreWriter
from mfd.cache.format.rows import to_rows
from mfd.cache.store.manifest import Manifest
from mfd.config import Codec, StoredDtype
from tests.builders.features import SPEC, features_of, make_identity


def zarr_python(path: Path) -> np.ndarray:
    return np.asarray(zarr.open_array(path, mode="r")[...])


def zarrs(path: Path) -> np.ndarray:
    pytest.importorskip("zarrs", reason="zarrs is not installed")
    with zarr.config.set(
        {"codec_pipeline.path": "zarrs.ZarrsCodecPipeline", "codec_pipeline.strict": True}
    ):
        return np.asarray(zarr.open_array(path, mode="r")[...])


def tensorstore(path: Path) -> np.ndarray:
    library = pytest.importorskip("tensorstore", reason="TensorStore is not installed")
    place = {"driver": "file", "path": f"{path}/"}
    return library.open({"driver": "zarr3", "kvstore": place}).result().read().result()


@pytest.mark.parametrize("read", [zarr_python, zarrs, tensorstore])
@pytest.mark.parametrize(
    ("dtype", "codec"),
    [*((d, "none") for d in get_args(StoredDtype)), ("float16", "zstd"), ("coarse", "zstd")],
)
def test_other_readers_find_every_byte_of_every_array(
    tmp_path: Path, read: Callable[[Path], np.ndarray], dtype: StoredDtype, codec: Codec
) -> None:
    identity = make_identity(19, dtype=dtype)
    images = features_of(identity.images, dtype=dtype)
    with StoreWriter.open(tmp_path, identity, codec=codec) as writer:
        writer.write(0, images[:16])
        writer.write(1, images[16:])
        path = writer.finish()
    layout = Manifest.read(path).data_arrays
    rows = [to_rows(image, SPEC, "full", layout)[0] for image in images]
    for array in layout:
        expected = np.zeros(array.shape, array.dtype)
        for place, row in zip(expected, rows, strict=False):
            values = np.concatenate(row[array.name]).reshape(-1, *array.shape[2:])
            place[: len(values)] = values
        found = read(path / array.name)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.tobytes() == expected.tobytes(), array.name
