from dataclasses import replace
from math import ceil
from pathlib import Path

import pytest
import zarr

from mfd.cache.layout import (
    UNIT,
    Plan,
    create_arrays,
    data_arrays,
    index_arrays,
    make_plan,
    open_arrays,
    planned_bytes,
    resized_hw,
    restore_metadata,
)
from mfd.detector import Preprocessing
from mfd.errors import StoreError
from tests.cache.material import SPEC, make_identity

COCO = [(480, 640), (640, 480), (427, 640), (640, 427), (333, 500), (640, 640), (240, 640)] * 40


def coco_plan(**fields: object) -> tuple[Plan, list[int]]:
    spec = replace(SPEC, dim=256, c1_channels=256, strides=(8, 16, 32, 64))
    spec = replace(spec, **{"preprocessing": Preprocessing(), **fields})
    identity = make_identity(len(COCO), spec)
    images = tuple(replace(i, original_hw=hw) for i, hw in zip(identity.images, COCO, strict=True))
    sizes = [resized_hw(spec.preprocessing, hw) for hw in COCO]
    tokens = [sum(ceil(h / s) * ceil(w / s) for s in spec.strides) for h, w in sizes]
    return make_plan(replace(identity, images=images)), tokens


def test_the_largest_image_fits_with_one_more_row_and_column_per_map() -> None:
    plan, tokens = coco_plan()
    height, width = 800, 1067
    larger = sum((ceil(height / s) + 1) * (ceil(width / s) + 1) for s in (8, 16, 32, 64))
    assert plan.tokens >= max(larger, *tokens)
    assert plan.pixels >= (800 // 4 + 1) * (1067 // 4 + 2)


def test_chunks_of_a_mix_of_sizes_waste_at_most_three_percent() -> None:
    plan, tokens = coco_plan()
    stored = sum(ceil(n / plan.token_chunk) * plan.token_chunk for n in tokens)
    assert stored <= 1.03 * sum(tokens)
    assert plan.token_chunk * 256 * 2 <= 2 << 20
    assert plan.tokens % plan.token_chunk == plan.pixels % plan.pixel_chunk == 0


def test_images_of_one_size_have_a_single_chunk_and_no_waste() -> None:
    fixed = Preprocessing(size_hw=(640, 640))
    plan, tokens = coco_plan(preprocessing=fixed, dim=96, strides=(16, 32))
    assert plan.token_chunk == tokens[0] == 40 * 40 + 20 * 20


def test_bounds_given_by_the_caller_replace_the_preprocessing() -> None:
    plan = make_plan(make_identity(3), [(320, 64), (32, 32), (100, 100)])
    assert plan.tokens >= 21 * 5 + 11 * 3


def test_resized_sizes_follow_the_shorter_and_the_longer_side() -> None:
    rule = Preprocessing(shorter_side=800, longer_side=1333)
    assert resized_hw(rule, (480, 640)) == (800, 1067)
    assert resized_hw(rule, (100, 640)) == (209, 1333)
    assert resized_hw(Preprocessing(size_hw=(640, 480)), (5, 9)) == (640, 480)


@pytest.mark.parametrize("profile", ["full", "lite"])
def test_no_two_units_share_a_file(profile: str) -> None:
    identity = make_identity(35, profile=profile)
    for array in data_arrays(SPEC, identity.profile, "float16", 35, make_plan(identity)):
        owners: dict[str, int] = {}
        for row in range(array.shape[0]):
            assert owners.setdefault(array.file(row), row // UNIT) == row // UNIT
        assert array.shape[0] == 48


def test_plain_zarr_writes_where_the_layout_says(tmp_path: Path) -> None:
    arrays = data_arrays(SPEC, "full", "float32", 35, make_plan(make_identity(35)))
    group = zarr.create_group(tmp_path)
    create_arrays(group, arrays, "none")
    for array in arrays:
        target = group[array.name]
        assert isinstance(target, zarr.Array)
        target[33] = 1
        assert [f.name for f in (tmp_path / array.name).glob("c.*")] == [Path(array.file(33)).name]


@pytest.mark.parametrize("codec", ["none", "zstd", "blosc"])
def test_every_array_ends_in_a_checksum_and_has_the_codec_asked_for(codec: str) -> None:
    plan = make_plan(make_identity(35))
    data, index = data_arrays(SPEC, "full", "float16", 35, plan), index_arrays(SPEC, 35, plan)
    group = zarr.create_group(zarr.storage.MemoryStore())
    create_arrays(group, (*data, *index), codec)  # type: ignore[arg-type]
    for array in (*data, *index):
        codecs = group[array.name].metadata.to_dict()["codecs"]
        inner = codecs[0]["configuration"]["codecs"] if array.shards else codecs
        compressed = [] if codec == "none" or array in index else [codec]
        assert [c["name"] for c in inner] == ["bytes", *compressed, "crc32c"]


def test_metadata_of_another_layout_is_refused_and_can_be_restored(tmp_path: Path) -> None:
    arrays = data_arrays(SPEC, "lite", "float16", 35, make_plan(make_identity(35)))
    create_arrays(zarr.create_group(tmp_path), arrays, "none")
    metadata = tmp_path / "dec/query/zarr.json"
    metadata.write_text(metadata.read_text().replace("48", "64"))
    with pytest.raises(StoreError, match=r"dec/query/zarr.json is damaged \(shape differs"):
        open_arrays(tmp_path, arrays, "none")
    metadata.unlink()
    with pytest.raises(StoreError, match="dec/query"):
        open_arrays(tmp_path, arrays, "none")
    restore_metadata(tmp_path, arrays, "none")
    assert open_arrays(tmp_path, arrays, "none").keys() == {array.name for array in arrays}


def test_planned_bytes_are_those_of_all_values() -> None:
    spec = replace(SPEC, preprocessing=Preprocessing(size_hw=(64, 96)))
    tokens, queries, logits, c1 = (4 * 6 + 2 * 3) * 12, 7 * 12, 7 * 3, 16 * 24 * 5
    expected = 2 * (tokens + queries + logits + c1) + 7 * 4 * 4
    assert planned_bytes(make_identity(1, spec), None) == expected
