import json
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
import zarr

from mfd.cache.format.arrays import create_arrays, encode, open_arrays
from mfd.cache.format.layout import ArrayLayout, data_arrays, index_arrays
from mfd.cache.format.plan import make_plan
from mfd.errors import StoreError
from tests.builders.features import SPEC, make_identity


def test_plain_zarr_writes_where_the_layout_says(tmp_path: Path) -> None:
    arrays = data_arrays(
        SPEC, "full", "float32", 35, make_plan(SPEC, "float16", make_identity(35).images)
    )
    group = zarr.create_group(tmp_path)
    create_arrays(group, arrays, "none")
    for array in arrays:
        target = group[array.name]
        assert isinstance(target, zarr.Array)
        target[33] = 1
        assert [f.name for f in (tmp_path / array.name).glob("c.*")] == [Path(array.file(33)).name]


@pytest.mark.parametrize("codec", ["none", "zstd", "blosc"])
def test_every_array_ends_in_a_checksum_and_has_the_codec_asked_for(codec: str) -> None:
    plan = make_plan(SPEC, "float16", make_identity(35).images)
    data, index = data_arrays(SPEC, "full", "float16", 35, plan), index_arrays(SPEC, 35, plan)
    group = zarr.create_group(zarr.storage.MemoryStore())
    create_arrays(group, (*data, *index), codec)  # type: ignore[arg-type]
    for array in (*data, *index):
        codecs = group[array.name].metadata.to_dict()["codecs"]
        inner = codecs[0]["configuration"]["codecs"] if array.shards else codecs
        compressed = [] if codec == "none" or array in index else [codec]
        assert [c["name"] for c in inner] == ["bytes", *compressed, "crc32c"]


@pytest.mark.parametrize("codec", ["none", "zstd", "blosc"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "uint8"])
def test_an_encoded_file_is_the_one_that_plain_zarr_writes(
    tmp_path: Path, codec: str, dtype: str
) -> None:
    array = ArrayLayout("a/b", dtype, (48, 9, 5), (1, 3, 5), (16, 9, 5))
    block = np.random.default_rng(0).normal(0, 9, array.shards or ()).astype(dtype)
    block[3], block[5, 3:], block[7, :8] = 0, 0, 0
    block[11], block[11, 8, 4] = 0, 1
    if dtype != "uint8":
        block[13] = -0.0
    group = zarr.create_group(tmp_path)
    create_arrays(group, [array], codec)  # type: ignore[arg-type]
    plain = group["a/b"]
    assert isinstance(plain, zarr.Array)
    plain[16:32] = block
    assert encode(array, codec, block) == (tmp_path / array.file(16)).read_bytes()  # type: ignore[arg-type]


def test_a_shard_of_zeros_has_no_file_and_a_chunk_of_zeros_has_one() -> None:
    sharded = ArrayLayout("a", "float16", (32, 4), (1, 4), (16, 4))
    single = ArrayLayout("a", "float16", (32, 4), (16, 4))
    zeros = np.zeros((16, 4))
    assert encode(sharded, "none", zeros) is None
    assert encode(single, "none", zeros) == bytes(128) + google_crc32c.value(bytes(128)).to_bytes(
        4, "little"
    )


def test_metadata_of_another_layout_are_refused(tmp_path: Path) -> None:
    arrays = data_arrays(
        SPEC, "lite", "float16", 35, make_plan(SPEC, "float16", make_identity(35).images)
    )
    create_arrays(zarr.create_group(tmp_path), arrays, "none")
    assert open_arrays(tmp_path, arrays, "none").keys() == {array.name for array in arrays}
    metadata = tmp_path / "dec/query/zarr.json"
    metadata.write_text(metadata.read_text().replace("48", "64"))
    with pytest.raises(StoreError, match=r"dec/query/zarr.json is damaged \(shape differs"):
        open_arrays(tmp_path, arrays, "none")
    metadata.unlink()
    with pytest.raises(StoreError, match="dec/query"):
        open_arrays(tmp_path, arrays, "none")


def test_metadata_with_a_field_that_the_layout_does_not_know_are_refused(tmp_path: Path) -> None:
    arrays = index_arrays(SPEC, 35, make_plan(SPEC, "float16", make_identity(35).images))[:1]
    create_arrays(zarr.create_group(tmp_path), arrays, "none")
    file = tmp_path / arrays[0].name / "zarr.json"
    metadata = {**json.loads(file.read_text()), "note": {"must_understand": False}}
    file.write_text(json.dumps(metadata))
    with pytest.raises(StoreError, match=r"note differs from the layout"):
        open_arrays(tmp_path, arrays, "none")
