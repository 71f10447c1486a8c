import json
from dataclasses import replace
from pathlib import Path

import pytest
import zarr

from mfd.cache.layout import make_plan
from mfd.cache.manifest import Manifest, set_status
from mfd.errors import StoreError
from tests.cache.material import SPEC, make_identity


@pytest.fixture
def store(tmp_path: Path) -> Path:
    identity = make_identity(spec=replace(SPEC, max_detections=11))
    manifest = Manifest.of(identity, "zstd", make_plan(identity), {"torch": "2.x"})
    zarr.create_group(tmp_path, attributes=manifest.to_attributes())
    return tmp_path


def test_a_manifest_is_read_as_it_was_written(store: Path) -> None:
    manifest = Manifest.read(store)
    identity = make_identity(spec=replace(SPEC, max_detections=11))
    assert manifest == Manifest.of(identity, "zstd", make_plan(identity), {"torch": "2.x"})
    assert manifest.identity(identity.images) == identity
    assert (manifest.num_images, manifest.num_units) == (35, 3)


def test_the_status_survives_and_changes_nothing_else(store: Path) -> None:
    before = Manifest.read(store)
    set_status(store, "complete")
    assert Manifest.read(store) == replace(before, status="complete")


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is no feature store"):
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


def test_a_changed_attribute_is_noticed(store: Path) -> None:
    metadata = (store / "zarr.json").read_text()
    (store / "zarr.json").write_text(metadata.replace('"dim": 12', '"dim": 13'))
    with pytest.raises(StoreError, match="damaged"):
        Manifest.read(store)
    (store / "zarr.json").write_text(metadata[:-9])
    with pytest.raises(StoreError, match="damaged"):
        Manifest.read(store)
