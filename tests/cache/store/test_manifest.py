import json
from dataclasses import replace
from pathlib import Path

import pytest
import zarr

from mfd.cache.format.plan import make_plan
from mfd.cache.store.manifest import (
    COPY,
    Manifest,
    require_identity,
    restore_metadata,
    set_status,
    write_metadata,
)
from mfd.errors import StoreError
from tests.builders.features import SPEC, make_identity


@pytest.fixture
def store(tmp_path: Path) -> Path:
    identity = make_identity(spec=replace(SPEC, max_detections=11))
    plan = make_plan(identity.spec, identity.dtype, identity.images)
    manifest = Manifest.of(identity, "zstd", plan, {"torch": "2.x"})
    write_metadata(tmp_path / "store", manifest)
    return tmp_path / "store"


def test_a_manifest_is_read_as_it_was_written(store: Path) -> None:
    manifest = Manifest.read(store)
    identity = make_identity(spec=replace(SPEC, max_detections=11))
    plan = make_plan(identity.spec, identity.dtype, identity.images)
    assert manifest == Manifest.of(identity, "zstd", plan, {"torch": "2.x"})
    assert manifest.identity(identity.images) == identity
    assert (manifest.num_images, manifest.num_units) == (35, 3)


def test_the_status_survives_and_changes_nothing_else(store: Path) -> None:
    before = Manifest.read(store)
    set_status(store, "complete")
    assert Manifest.read(store) == replace(before, status="complete")


def test_the_copy_is_the_manifest_of_the_unfinished_store(store: Path) -> None:
    before = Manifest.read(store)
    set_status(store, "complete")
    assert Manifest.read_copy(store) == before


def test_restored_metadata_are_those_of_an_unfinished_store_to_the_byte(store: Path) -> None:
    def metadata() -> dict[Path, bytes]:
        return {f: f.read_bytes() for f in store.rglob("*.json")}

    before, manifest = metadata(), Manifest.read(store)
    (store / "enc/zarr.json").unlink()
    (store / "dec/query/zarr.json").write_text("{}")
    (store / COPY).write_text("{}")
    set_status(store, "complete")
    restore_metadata(store, manifest)
    assert metadata() == before
    assert list(store.parent.iterdir()) == [store]


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not a feature store"):
        Manifest.read(tmp_path / "nothing")
    zarr.create_group(tmp_path / "other", attributes={"title": "somebody else's"})
    with pytest.raises(StoreError, match="has schema None, this mfd reads schema 1"):
        Manifest.read(tmp_path / "other")


def test_a_store_of_another_schema_is_refused_with_both_numbers(store: Path) -> None:
    metadata = json.loads((store / "zarr.json").read_text())
    metadata["attributes"]["schema"] = 99
    (store / "zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(StoreError, match="has schema 99, this mfd reads schema 1"):
        Manifest.read(store)


def test_a_changed_attribute_is_noticed_and_the_cure_depends_on_the_copy(store: Path) -> None:
    metadata = (store / "zarr.json").read_text()
    for damaged in (metadata.replace('"dim": 12', '"dim": 13'), metadata[:-9]):
        (store / "zarr.json").write_text(damaged)
        with pytest.raises(StoreError, match=r"zarr.json is damaged .*verify --repair"):
            Manifest.read(store)
    (store / COPY).unlink()
    with pytest.raises(StoreError, match=r"zarr.json is damaged .*mfd cache rm.* extract it again"):
        Manifest.read(store)


def test_a_store_without_its_metadata_is_still_known_as_one(store: Path) -> None:
    (store / "zarr.json").unlink()
    with pytest.raises(StoreError, match=r"zarr.json is missing; .*verify --repair"):
        Manifest.read(store)


def test_another_identity_is_refused_naming_field_and_both_values(sound_store: Path) -> None:
    manifest = Manifest.read(sound_store)
    require_identity(sound_store, manifest, make_identity())
    with pytest.raises(StoreError, match=r'view is "base", expected "flip"'):
        require_identity(sound_store, manifest, make_identity(view="flip"))
    other = replace(SPEC, preprocessing=replace(SPEC.preprocessing, longer_side=99))
    with pytest.raises(StoreError, match=r"detector.preprocessing.longer_side is 133, expected 99"):
        require_identity(sound_store, manifest, make_identity(spec=other))
    with pytest.raises(StoreError, match=r"images.count is 35, expected 34"):
        require_identity(sound_store, manifest, make_identity(34))
    images = (*make_identity().images[:-1], replace(make_identity().images[-1], sha256="0" * 64))
    with pytest.raises(StoreError, match=r"images\[34\].sha256 .* expected \"0000"):
        require_identity(sound_store, manifest, replace(make_identity(), images=images))
