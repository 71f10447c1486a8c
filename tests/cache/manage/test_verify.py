"""Every file of a store but the lock."""

import random
import re
from pathlib import Path

import pytest

from mfd.cache import Store, StoreInfo, StoreWriter, repair_store, verify_store
from mfd.cache.store.lock import writer_lock
from mfd.errors import StoreError
from tests.builders.features import features_of, make_identity
from tests.builders.stores import contents, extract_again, flip


def test_a_sound_store_has_no_damage_and_needs_no_repair(sound_store: Path) -> None:
    assert verify_store(sound_store) == []
    assert verify_store(sound_store) == []
    assert repair_store(sound_store, []) == ()


def test_a_flipped_bit_anywhere_is_noticed(store_path: Path) -> None:
    rng = random.Random(0)
    for path in sorted(f for f in store_path.rglob("*") if f.is_file() and f.name != ".lock"):
        sound = path.read_bytes()
        for _ in range(2):
            flip(path, rng)
            try:
                noticed = bool(verify_store(store_path))
                Store.open(store_path)
            except StoreError:  # the attributes of the group itself
                noticed = True
            assert noticed, path
            path.write_bytes(sound)


def test_a_flipped_bit_in_the_scales_is_noticed(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path, make_identity(3, dtype="int8")) as writer:
        writer.write(0, features_of(writer.images(0), dtype=writer.identity.dtype))
        path = writer.finish()
    for name in ("enc/scale/c.0.0.0", "c1/scale/c.0.0"):
        flip(path / name, random.Random(8))
        assert any(name in damage.what for damage in verify_store(path))
        with pytest.raises(StoreError, match=rf"image 5: .*{name} is damaged"):
            Store.open(path)[0]
        flip(path / name, random.Random(8))
    assert verify_store(path) == []


@pytest.mark.parametrize("name", ["enc/tokens/c.1.0.0", "c1/map/c.5.0.0", "dec/logit/c.1.0.0"])
def test_a_flipped_bit_in_a_shard_fails_the_reading_of_just_the_images_it_hits(
    store_path: Path, name: str
) -> None:
    rng = random.Random(1)
    path = store_path / name
    sound = path.read_bytes()
    for _ in range(3):
        flip(path, rng)
        (damage,) = verify_store(store_path)
        assert damage.unit == 1
        assert re.search(f"{name} is damaged .*(differs|a chunk of|are not zeros)", damage.what)
        store = Store.open(store_path)
        assert set(damage.image_ids) <= set(store.image_ids[16:32])
        for position in range(15, 33):
            image_id = store.image_ids[position]
            if image_id in damage.image_ids:
                with pytest.raises(StoreError, match=f"image {image_id}: .*{name.split('/c.')[0]}"):
                    store[position]
            else:
                assert store[position].image_id == image_id
        path.write_bytes(sound)


def test_repair_has_just_the_damaged_units_extracted_again(store_path: Path) -> None:
    sound = contents(store_path)
    flip(store_path / "enc/tokens/c.2.0.0", random.Random(2))
    (store_path / "c1/map/c.1.0.0").unlink()
    damage = verify_store(store_path)
    assert [d.unit for d in damage] == [0, 2]
    assert damage[0].image_ids == tuple(i.image_id for i in make_identity().images[4:8])
    assert repair_store(store_path, damage) == (0, 2)
    with pytest.raises(StoreError, match="is unfinished: 1 of 3 units"):
        Store.open(store_path)
    assert extract_again(store_path.parent) == (0, 2)
    assert contents(store_path) == sound


@pytest.mark.parametrize(
    "name",
    [
        "index/level_hw/c.0.0.0",
        "index/image_id/zarr.json",
        "enc/tokens/zarr.json",
        "enc/zarr.json",
        "_units/index.json",
        "_units/manifest.json",
        "zarr.json",
    ],
)
def test_metadata_and_index_are_repaired_without_the_detector(store_path: Path, name: str) -> None:
    sound = contents(store_path)
    flip(store_path / name, random.Random(3))
    damage = verify_store(store_path)
    assert [d.unit for d in damage] == [None]
    assert name in damage[0].what
    repair_store(store_path, damage)
    assert extract_again(store_path.parent) == ()
    assert contents(store_path) == sound


def test_a_store_whose_own_metadata_are_gone_is_repaired_with_its_other_damage(
    store_path: Path,
) -> None:
    sound = contents(store_path)
    (store_path / "zarr.json").unlink()
    flip(store_path / "enc/tokens/c.1.0.0", random.Random(6))
    with pytest.raises(StoreError, match=r"zarr.json is missing"):
        Store.open(store_path)
    damage = verify_store(store_path)
    assert [d.unit for d in damage] == [None, 1]
    assert repair_store(store_path, damage) == (1,)
    assert extract_again(store_path.parent) == (1,)
    assert contents(store_path) == sound


def test_a_store_whose_metadata_and_their_copy_are_damaged_is_to_be_removed(
    store_path: Path,
) -> None:
    for name in ("zarr.json", "_units/manifest.json"):
        (store_path / name).write_text("{")
    with pytest.raises(StoreError, match=r"zarr.json is damaged, and so is .*`mfd cache rm`"):
        verify_store(store_path)


def test_a_damaged_note_of_the_seconds_costs_nothing_else(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path, make_identity(3)) as writer:
        writer.add_elapsed(2.5)
    flip(writer.path / "_units/cost.json", random.Random(7))
    assert StoreInfo.read(writer.path).seconds is None
    with pytest.raises(StoreError, match=r"cost.json is damaged .*verify --repair"):
        StoreWriter.open(tmp_path, make_identity(3))
    damage = verify_store(writer.path)
    assert [d.unit for d in damage] == [None]
    assert repair_store(writer.path, damage) == ()
    StoreWriter.open(tmp_path, make_identity(3)).close()
    assert verify_store(writer.path) == []


def test_a_damaged_or_missing_journal_costs_its_unit(store_path: Path) -> None:
    flip(store_path / "_units/000000.json", random.Random(4))
    (store_path / "_units/000002.json").unlink()
    damage = verify_store(store_path)
    assert [d.unit for d in damage] == [0, 2]
    assert repair_store(store_path, damage) == (0, 2)
    assert extract_again(store_path.parent) == (0, 2)


def test_in_an_unfinished_store_only_finished_units_count(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path, make_identity()) as writer:
        writer.write(1, features_of(writer.images(1)))
        assert verify_store(writer.path) == []
        flip(writer.path / "dec/query/c.1.0.0", random.Random(5))
        (damage,) = verify_store(writer.path)
        assert damage.unit == 1
        flip(writer.path / "dec/query/zarr.json", random.Random(5))
        assert {d.unit for d in verify_store(writer.path)} == {None, 1}


def test_a_store_that_is_being_written_is_not_repaired(store_path: Path) -> None:
    (store_path / "c1/map/c.1.0.0").unlink()
    with writer_lock(store_path), pytest.raises(StoreError, match="being written"):
        repair_store(store_path, verify_store(store_path))
