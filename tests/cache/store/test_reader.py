import os
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mfd.cache import (
    Store,
    StoreWriter,
    decode_maps,
    encode_features,
    remove_store,
    verify_store,
)
from mfd.cache.format.plan import planned_bytes
from mfd.cache.store import reader
from mfd.cache.store.info import StoreInfo
from mfd.detectors import ImageFeatures
from mfd.errors import StoreError
from mfd.images import parse_view
from mfd.images.preprocessing import Preprocessing
from tests.builders.features import SPEC, features_of, make_features, make_identity, make_store


def assert_same(found: ImageFeatures, written: ImageFeatures, dtype: torch.dtype) -> None:
    assert found.image_id == written.image_id
    assert found.original_hw == written.original_hw
    assert found.input_hw == written.input_hw
    assert torch.equal(found.boxes, written.boxes)
    assert found.c1 is not None
    assert written.c1 is not None
    for ours, theirs in zip(
        (found.queries, found.logits, found.c1, *found.memory),
        (written.queries, written.logits, written.c1, *written.memory),
        strict=True,
    ):
        assert ours.dtype == dtype
        assert torch.equal(ours, theirs.to(dtype))


def test_every_image_is_read_as_it_was_written_in_any_order(sound_store: Path) -> None:
    store = Store.open(sound_store)
    images = make_identity().images
    assert store.image_ids == tuple(image.image_id for image in images)
    for position in random.Random(0).sample(range(35), 35):
        assert_same(store[position], make_features(images[position]), torch.float16)


@pytest.mark.parametrize("view", ["flip", "ms:3", "lsj:0"])
def test_a_view_is_read_with_the_place_of_every_image_in_it(tmp_path: Path, view: str) -> None:
    identity = make_identity(19, view=view)
    drawn = [
        parse_view(view).draw(i.image_id, i.original_hw, SPEC.preprocessing)
        for i in identity.images
    ]
    written = [
        make_features(image, input_hw=placement.input_hw)
        for image, placement in zip(identity.images, drawn, strict=True)
    ]
    with StoreWriter.open(tmp_path, identity) as writer:
        writer.write(0, [encode_features(f, "float16") for f in written[:16]])
        writer.write(1, [None, *(encode_features(f, "float16") for f in written[17:])])
        store = Store.open(writer.finish())
    assert store.identity == identity
    rows = [*range(16), 17, 18]  # the one that could not be read is left out of the placements too
    for position, row in enumerate(rows):
        assert store.placement(position) == store[position].placement == drawn[row]
        assert_same(store[position], written[row], torch.float16)
    assert store.input_hw.tolist() == [list(drawn[row].input_hw) for row in rows]
    assert verify_store(store.path) == []


def test_the_view_base_places_nothing(sound_store: Path) -> None:
    store = Store.open(sound_store)
    assert store.placement(3) is store[3].placement is None
    assert not (sound_store / "index/placement").exists()


def test_a_damaged_placement_is_named(tmp_path: Path) -> None:
    path = make_store(tmp_path, view="flip")
    (path / "index/placement/c.0.0").unlink()
    with pytest.raises(StoreError, match=r"index/placement is damaged.*mfd cache verify"):
        Store.open(path).placement(0)


def test_int8_maps_come_with_their_scales(tmp_path: Path) -> None:
    identity = make_identity(19, dtype="int8")
    with StoreWriter.open(tmp_path, identity) as writer:
        for unit in writer.todo:
            writer.write(unit, features_of(writer.images(unit), dtype="int8"))
        store = Store.open(writer.finish())
    for position in (0, 18):
        found, exact = store[position], make_features(identity.images[position])
        assert torch.equal(found.logits, exact.logits.half())
        assert found.c1 is not None
        assert exact.c1 is not None
        assert {m.dtype for m in (*found.memory, found.c1)} == {torch.int8}
        scales = found.memory_constants["scale"]
        floats = [
            decode_maps(level, {"scale": scale})
            for level, scale in zip(found.memory, scales, strict=True)
        ]
        floats.append(decode_maps(found.c1, found.c1_constants))
        for ours, theirs in zip(floats, (*exact.memory, exact.c1), strict=True):
            assert ((ours - theirs).abs() <= theirs.abs().amax((0, 1)) / 253.9).all()
    assert store.info().dtype == "int8"
    assert (
        store.info().num_bytes
        < 0.8 * planned_bytes(SPEC, "full", "float16", [(75, 133)] * 19) + 50_000
    )


def test_threads_read_what_one_reader_reads(sound_store: Path) -> None:
    store = Store.open(sound_store)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(store.__getitem__, [*range(35), *reversed(range(35))]))
    for features in found:
        image = make_identity().images[store.position(features.image_id)]
        assert_same(features, make_features(image), torch.float16)


@pytest.mark.parametrize(
    ("dim", "strides"), [(96, (16, 32)), (20, (8, 16, 32, 64, 128)), (8, (4,))]
)
def test_widths_and_levels_are_those_of_the_spec(
    tmp_path: Path, dim: int, strides: tuple[int, ...]
) -> None:
    fixed = Preprocessing(size_hw=(61, 133))
    spec = replace(SPEC, dim=dim, strides=strides, preprocessing=fixed, scores="softmax")
    identity = make_identity(17, spec, dtype="float32")
    with StoreWriter.open(tmp_path, identity) as writer:
        for unit in writer.todo:
            writer.write(unit, features_of(writer.images(unit), spec, "float32"))
        store = Store.open(writer.finish())
    for position in (0, 15, 16):
        assert_same(store[position], make_features(identity.images[position], spec), torch.float32)
    assert store[3].logits.shape == (7, 4)


def test_detections_are_those_of_the_whole_image(sound_store: Path) -> None:
    store = Store.open(sound_store)
    logits, boxes = store.detections(20)
    assert torch.equal(logits, store[20].logits)
    assert torch.equal(boxes, store[20].boxes)
    assert tuple(store.input_hw[20]) == store[20].input_hw


def test_a_store_knows_its_images_and_identity(sound_store: Path) -> None:
    store = Store.open(sound_store)
    assert store.identity == make_identity()
    assert store.images == make_identity().images
    assert store.invalid == ()
    assert store.position(store.image_ids[31]) == 31
    with pytest.raises(StoreError, match="has no image 4"):
        store.position(4)


def test_positions_beyond_the_last_image_end_an_iteration(sound_store: Path) -> None:
    assert len(list(Store.open(sound_store))) == 35
    for position in (35, -1):
        with pytest.raises(IndexError, match="of a store of 35 images"):
            Store.open(sound_store)[position]


def test_the_info_counts_every_byte_and_unit(sound_store: Path) -> None:
    info = Store.open(sound_store).info()
    assert info.complete
    assert (info.num_images, info.num_units, info.committed_units) == (35, 3, 3)
    assert info.num_bytes == sum(f.stat().st_size for f in sound_store.rglob("*") if f.is_file())
    assert info.seconds is None
    assert info.identity_sha256 == make_identity().sha256
    assert (info.split, info.view, info.profile) == ("train", "base", "full")
    assert (info.dtype, info.codec, info.spec) == ("float16", "none", SPEC)


def test_an_unfinished_store_is_refused_but_described(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path, make_identity(), provenance={"torch": "2.x"}) as writer:
        writer.write(2, features_of(writer.images(2)))
        path = writer.path
    with pytest.raises(StoreError, match="is unfinished: 1 of 3 units of 16 images are there"):
        Store.open(path)
    info = StoreInfo.read(path)
    assert (info.complete, info.committed_units) == (False, 1)
    assert info.provenance == {"torch": "2.x"}


@pytest.mark.parametrize("name", ["enc/tokens/c.1.0.0", "c1/map/c.4.0.0", "dec/box/c.1.0.0"])
def test_missing_and_truncated_shards_are_named_and_spare_the_other_units(
    store_path: Path, name: str
) -> None:
    store = Store.open(store_path)
    content = (store_path / name).read_bytes()
    for shortened in (content[:-1], content[: len(content) // 2], b""):
        (store_path / name).write_bytes(shortened)
        with pytest.raises(StoreError, match=f"image 53: .*{name} .*{len(shortened)} bytes long"):
            store[16]
    (store_path / name).unlink()
    with pytest.raises(StoreError, match=f"image 53: .*{name} .*No such file"):
        store[16]
    assert store[15].image_id == 50
    assert store[32].image_id == 101


def test_a_store_that_was_removed_gives_no_zeros(store_path: Path) -> None:
    store, images = Store.open(store_path), make_identity().images
    assert store[17].image_id == 56
    remove_store(store_path)
    assert_same(store[16], make_features(images[16]), torch.float16)  # its files are open
    with pytest.raises(StoreError, match=r"image 65: .*c1/map.*No such file"):
        store[20]
    with pytest.raises(StoreError, match=r"000002.json is missing"):
        store.detections(32)


def test_files_that_are_open_stay_what_they_were_when_their_unit_is_written_again(
    tmp_path: Path,
) -> None:
    identity = make_identity(19)
    images = [make_features(image) for image in identity.images]
    others = [replace(image, memory=[level + 1 for level in image.memory]) for image in images]
    with StoreWriter.open(tmp_path, identity) as writer:
        writer.write(0, [encode_features(image, "float16") for image in images[:16]])
        writer.write(1, [encode_features(image, "float16") for image in images[16:]])
        store = Store.open(writer.finish())
        assert_same(store[4], images[4], torch.float16)
        writer.write(0, [encode_features(image, "float16") for image in others[:16]])
        writer.finish()
    assert_same(store[5], images[5], torch.float16)
    assert_same(Store.open(store.path)[5], others[5], torch.float16)


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs Linux's list of files")
def test_few_files_are_open_at_a_time_and_none_when_the_store_is_gone(
    sound_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened() -> int:
        links = (os.path.realpath(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd"))
        return sum(link.startswith(str(sound_store)) for link in links)

    monkeypatch.setattr(reader, "_OPEN_FILES", 3)
    store, images = Store.open(sound_store), make_identity().images
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(store.__getitem__, [*range(35)] * 2))
    for features, image in zip(found, images * 2, strict=True):
        assert_same(features, make_features(image), torch.float16)
    assert opened() == 3
    del store
    assert opened() == 0


def test_a_missing_journal_is_named(store_path: Path) -> None:
    (store_path / "_units/000001.json").unlink()
    with pytest.raises(StoreError, match=r"000001.json is missing"):
        Store.open(store_path)[20]


@pytest.mark.parametrize("name", ["image_id", "valid", "orig_hw"])
def test_a_missing_index_array_is_named(store_path: Path, name: str) -> None:
    next((store_path / "index" / name).glob("c.*")).unlink()
    with pytest.raises(StoreError, match=f"index/{name} is damaged"):
        Store.open(store_path)


@pytest.mark.parametrize("dtype", ["float16", "int8", "int4"])
@pytest.mark.parametrize("profile", ["full", "lite"])
def test_a_store_of_a_detector_without_c1_has_none_in_either_profile(
    tmp_path: Path, profile: str, dtype: str
) -> None:
    spec = replace(SPEC, c1_channels=0, strides=(14, 28))
    identity = make_identity(19, spec, profile=profile, dtype=dtype)
    with StoreWriter.open(tmp_path, identity) as writer:
        for unit in writer.todo:
            written = [replace(make_features(i, spec), c1=None) for i in writer.images(unit)]
            writer.write(unit, [encode_features(features, dtype) for features in written])
        store = Store.open(writer.finish())
    assert not store.has_c1
    assert not (store.path / "c1").exists()
    for position in (0, 18):
        exact = encode_features(
            replace(make_features(identity.images[position], spec), c1=None), dtype
        )
        found = store[position]
        assert found.c1 is None
        assert all(torch.equal(a, b) for a, b in zip(found.memory, exact.memory, strict=True))
    sizes = store.input_hw[[0, 18]].tolist()
    assert planned_bytes(spec, "full", dtype, sizes) == planned_bytes(spec, "lite", dtype, sizes)
