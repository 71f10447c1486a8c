"""Stores of changed metadata are used or refused in one line, soon, whatever the metadata say."""

import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mfd.cache import Store, StoreInfo, list_stores, verify_store
from mfd.files import json_sha256
from tests.builders.mutations import (
    mutated_bytes,
    mutated_text,
    mutated_value,
    require_used_or_named,
)

SECONDS = 10.0  # of the CPU; a sound store of 35 images takes 0.1


def first_image(path: Path) -> None:
    store = Store.open(path)
    assert len(store) <= 35
    _ = store[0], store.images, store.invalid, store.input_hw, store.identity


READERS: tuple[Callable[[Path], object], ...] = (StoreInfo.read, first_image, verify_store)


def require_sound_or_named(path: Path) -> None:
    """What each reader does with the store, and that it hides nothing else of its folder."""
    for read in READERS:
        started = time.process_time()
        require_used_or_named(lambda read=read: read(path), str(path))  # type: ignore[misc]
        assert time.process_time() - started < SECONDS, read
    stores, errors = list_stores(path.parent)
    assert len(stores) + len(errors) == 1


@pytest.mark.parametrize("seed", range(4))
def test_attributes_with_a_right_checksum_are_used_or_named(seed: int, store_path: Path) -> None:
    chance = random.Random(seed)
    group, copy = store_path / "zarr.json", store_path / "_units/manifest.json"
    metadata = json.loads(group.read_text())
    sound = {k: v for k, v in metadata["attributes"].items() if k not in ("checksum", "status")}
    for _ in range(25):
        attributes = mutated_value(sound, chance)
        attributes |= {"checksum": json_sha256(attributes), "status": "complete"}
        group.write_text(json.dumps({**metadata, "attributes": attributes}))
        copy.write_text(json.dumps({**attributes, "status": "unfinished"}))
        require_sound_or_named(store_path)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_metadata_files_are_used_or_named(seed: int, store_path: Path) -> None:
    chance = random.Random(seed)
    files = sorted((*store_path.rglob("zarr.json"), *(store_path / "_units").glob("*.json")))
    for _ in range(30):
        file = chance.choice(files)
        sound = file.read_bytes()
        mutate = chance.choice((mutated_bytes, mutated_text))
        file.write_bytes(mutate(sound, chance))
        require_sound_or_named(store_path)
        file.write_bytes(sound)
