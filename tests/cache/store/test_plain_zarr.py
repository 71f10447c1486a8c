"""What plain zarr reads of a store, and what codecs change."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from mfd.cache import Store, StoreIdentity, StoreWriter, verify_store
from mfd.cache.store.identity import SCHEMA
from mfd.errors import StoreError
from mfd.images.preprocessing import Preprocessing
from tests.builders.features import SPEC, make_features, make_identity
from tests.builders.stores import contents, fill


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("profile", ["full", "lite"])
def test_plain_zarr_reads_what_was_written(tmp_path: Path, profile: str, dtype: str) -> None:
    identity = make_identity(19, profile=profile, dtype=dtype)
    with StoreWriter.open(tmp_path, identity) as writer:
        path = fill(writer)
    group = zarr.open_group(path, mode="r")
    index = group["index"]
    assert ("c1" in group) == (profile == "full")
    for row, image in enumerate(identity.images):
        features = make_features(image)
        tokens = group["enc/tokens"][row, : index["n_tokens"][row]]
        levels = np.split(tokens, index["level_hw"][row].prod(-1).cumsum()[:-1])
        for level, hw, memory in zip(levels, index["level_hw"][row], features.memory, strict=True):
            assert np.array_equal(level.reshape(*hw, 12), memory.numpy().astype(dtype))
        assert not group["enc/tokens"][row, index["n_tokens"][row] :].any()
        assert np.array_equal(group["dec/query"][row], features.queries.numpy().astype(dtype))
        assert np.array_equal(group["dec/logit"][row], features.logits.numpy().astype(dtype))
        assert np.array_equal(group["dec/box"][row], features.boxes.numpy())
        if features.c1 is not None and profile == "full":
            height, width = index["c1_hw"][row]
            c1 = group["c1/map"][row, : height * width].reshape(height, width, 5)
            assert np.array_equal(c1, features.c1.numpy().astype(dtype))
        assert index["image_id"][row] == image.image_id
        assert tuple(index["orig_hw"][row]) == image.original_hw
        assert tuple(index["hw"][row]) == features.input_hw
        assert index["file_name"][row].tobytes().rstrip(b"\0").decode() == image.file_name
        assert index["sha256"][row].tobytes().hex() == image.sha256
        assert index["valid"][row] == 1


@pytest.mark.parametrize("profile", ["full", "lite"])
def test_plain_zarr_reads_int8_maps_by_the_formula_in_their_attributes(
    tmp_path: Path, profile: str
) -> None:
    identity = make_identity(19, profile=profile, dtype="int8")
    with StoreWriter.open(tmp_path, identity) as writer:
        path = fill(writer)
    group = zarr.open_group(path, mode="r")
    formula = "value = stored * enc/scale[image, level of the token]"
    assert group["enc/tokens"].attrs["formula"] == formula
    assert group["enc/tokens"].dtype == np.int8
    assert set(group["dec"].array_keys()) == {"box", "logit", "query"}
    assert group["dec/logit"].dtype == group["dec/query"].dtype == np.float16
    for row in (0, 15, 18):
        features = make_features(identity.images[row])
        level_hw = group["index/level_hw"][row]
        level = np.repeat(np.arange(len(level_hw)), level_hw.prod(-1))
        scale = group["enc/scale"][row]
        tokens = group["enc/tokens"][row, : len(level)] * scale[level]
        exact = np.concatenate([m.numpy().reshape(-1, 12) for m in features.memory])
        assert (np.abs(tokens - exact) <= 0.5001 * scale[level]).all()
        if profile == "full":
            assert features.c1 is not None
            assert group["c1/map"].attrs["formula"] == "value = stored * c1/scale[image]"
            exact = features.c1.numpy().reshape(-1, 5)
            pixels = group["c1/map"][row, : len(exact)] * group["c1/scale"][row]
            assert (np.abs(pixels - exact) <= 0.5001 * group["c1/scale"][row]).all()
    assert verify_store(path) == []


def test_plain_zarr_lists_the_store_without_a_warning(sound_store: Path) -> None:
    group = zarr.open_group(sound_store, mode="r")
    names = {name for name, _ in group.members(max_depth=None)}
    assert {"enc/tokens", "c1/map", "dec/query", "index/image_id"} <= names
    assert group.attrs["schema"] == SCHEMA


@pytest.mark.parametrize("codec", ["zstd", "blosc"])
def test_codecs_change_bytes_but_no_number(tmp_path: Path, sound_store: Path, codec: str) -> None:
    with StoreWriter.open(tmp_path, make_identity(), codec=codec) as writer:  # type: ignore[arg-type]
        path = fill(writer)
    ours, plain = zarr.open_group(path, mode="r"), zarr.open_group(sound_store, mode="r")
    for name in ("enc/tokens", "c1/map", "dec/query", "dec/logit", "dec/box", "index/hw"):
        assert np.array_equal(ours[name][...], plain[name][...])
    assert contents(path)["c1/map/c.0.0.0"] != contents(sound_store)["c1/map/c.0.0.0"]
    assert Store.open(path).info().codec == codec


def test_another_codec_is_refused_on_resume(tmp_path: Path) -> None:
    StoreWriter.open(tmp_path, make_identity()).close()
    with pytest.raises(StoreError, match="started with codec none, found --codec zstd"):
        StoreWriter.open(tmp_path, make_identity(), codec="zstd")


def test_chunks_that_a_short_image_does_not_reach_take_no_room(tmp_path: Path) -> None:
    large = Preprocessing(shorter_side=200, longer_side=800)
    spec = replace(SPEC, dim=256, preprocessing=large)
    images = make_identity(32).images
    wide = tuple(replace(i, original_hw=(20, 80 if i.image_id < 9 else 20)) for i in images)
    identity = StoreIdentity(spec, "train", wide, profile="lite")
    with StoreWriter.open(tmp_path, identity) as writer:
        path = fill(writer)
    group = zarr.open_group(path, mode="r")
    true = int(group["index/n_tokens"][...].sum()) * 256 * 2
    stored = sum(f.stat().st_size for f in (path / "enc/tokens").glob("c.*"))
    rows, room, width = group["enc/tokens"].shape
    assert rows * room * width * 2 > 3 * true
    assert true < stored < 1.1 * true
    assert group["enc/tokens"].chunks[1] < room / 4
    for row in (0, 31):
        features = make_features(identity.images[row], spec)
        tokens = np.concatenate([m.half().numpy().reshape(-1, 256) for m in features.memory])
        assert np.array_equal(group["enc/tokens"][row, : len(tokens)], tokens)
