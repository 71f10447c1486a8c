"""Files that were exchanged, changed, shortened or deleted are found."""

import json
import random
import shutil
from pathlib import Path

import pytest

from mfd.cache import Store, StoreWriter, repair_store, verify_store
from mfd.errors import StoreError
from mfd.files import canonical_json, json_sha256
from tests.builders.features import features_of, make_identity
from tests.builders.stores import contents, extract_again, flip


def exchanged(first: Path, second: Path) -> None:
    """Give two files each other's content."""
    contents = second.read_bytes(), first.read_bytes()
    for path, content in zip((first, second), contents, strict=True):
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("first", "second", "units"),
    [
        ("dec/box/c.0.0.0", "dec/box/c.1.0.0", {0, 1}),
        ("dec/logit/c.0.0.0", "dec/logit/c.1.0.0", {0, 1}),
        ("enc/tokens/c.0.0.0", "enc/tokens/c.1.0.0", {0, 1}),
        ("c1/map/c.2.0.0", "c1/map/c.5.0.0", {0, 1}),
        ("_units/000000.json", "_units/000001.json", {0, 1}),
        ("index/valid/c.0", "index/n_tokens/c.0", {None}),
    ],
)
def test_exchanged_files_are_found_and_not_read(
    store_path: Path, first: str, second: str, units: set[int | None]
) -> None:
    exchanged(store_path / first, store_path / second)
    damage = verify_store(store_path)
    assert {d.unit for d in damage} == units
    with pytest.raises(StoreError, match=r"is damaged|never committed"):
        list(Store.open(store_path))
    repair_store(store_path, damage)
    assert set(extract_again(store_path.parent)) == units - {None}
    assert verify_store(store_path) == []


def test_files_of_another_store_of_the_same_images_are_found(
    store_path: Path, tmp_path: Path
) -> None:
    """A mixed restore: all sizes agree, and every file is sound in itself."""
    other = make_identity(split="val")
    with StoreWriter.open(tmp_path / "other", other) as writer:
        for unit in writer.todo:
            features = features_of(writer.images(unit))
            features[2].boxes.mul_(0.5)
            writer.write(unit, features)
        stale = writer.finish()
    name = "dec/box/c.1.0.0"
    assert (store_path / name).stat().st_size == (stale / name).stat().st_size
    shutil.copy(stale / name, store_path / name)
    assert [(d.unit, name in d.what) for d in verify_store(store_path)] == [(1, True)]
    for part in ("dec", "enc", "c1"):
        shutil.copytree(stale / part, store_path / part, dirs_exist_ok=True)
    assert {d.unit for d in verify_store(store_path)} == {0, 1, 2}
    for journal in stale.glob("_units/0*.json"):
        shutil.copy(journal, store_path / "_units")
    damage = verify_store(store_path)
    assert {d.unit for d in damage} == {0, 1, 2}
    assert all("another store's" in d.what for d in damage)


def test_a_changed_byte_of_any_file_is_found(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path, make_identity(5)) as writer:
        writer.write(0, features_of(writer.images(0)))
        writer.add_elapsed(1.25)
        path = writer.finish()
    rng = random.Random(11)
    files = contents(path)
    assert len(files) > 30
    for name, content in files.items():
        places = rng.choices(range(len(content)), k=9)
        if name == "zarr.json" or name.startswith("_units/0"):  # they check themselves
            places = [*range(rng.randrange(7), len(content), 7)]
        for place in places:
            changed = bytearray(content)
            changed[place] ^= rng.randrange(1, 256)
            (path / name).write_bytes(changed)
            assert verify_store(path), (name, changed)
        (path / name).write_bytes(content)
    assert verify_store(path) == []


def test_a_deleted_or_shortened_file_is_found(sound_store: Path, store_path: Path) -> None:
    rng = random.Random(12)
    for name, content in contents(sound_store).items():
        for shorter in rng.sample((None, content[:-1], content[: len(content) // 2], b""), 2):
            (store_path / name).unlink()
            if shorter is not None:
                (store_path / name).write_bytes(shorter)
            assert any(name in d.what or "_units" in d.what for d in verify_store(store_path)), name
            (store_path / name).write_bytes(content)
    assert verify_store(store_path) == []


def test_a_store_of_an_earlier_mfd_is_read_and_its_checksums_are_called_weak(
    store_path: Path,
) -> None:
    for path in sorted(store_path.glob("_units/0*.json")):
        record = json.loads(path.read_text())["record"]
        del record["store"]
        record["files"] = {name: [size, 0x48674BC7] for name, (size, _) in record["files"].items()}
        journal = {"record": record, "sha256": json_sha256(record)}
        path.write_text(canonical_json(journal))
    assert Store.open(store_path)[20].image_id == make_identity().images[20].image_id
    lines: list[str] = []
    assert verify_store(store_path, lines.append) == []
    assert len(lines) == 1
    assert "3 of 3 units" in lines[0]
    assert "weak" in lines[0]
    flip(store_path / "enc/tokens/c.1.0.0", random.Random(3))
    assert [d.unit for d in verify_store(store_path)] == [1]
