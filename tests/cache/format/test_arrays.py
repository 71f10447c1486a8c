import json
from pathlib import Path

import pytest
import zarr

from mfd.cache.format.arrays import create_arrays, open_arrays
from mfd.cache.format.layout import data_arrays, index_arrays
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
