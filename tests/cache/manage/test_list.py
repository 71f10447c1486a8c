import json
from pathlib import Path

import pytest

from mfd.cache import find_store, list_stores, remove_store
from mfd.errors import StoreError
from mfd.files import json_sha256
from tests.builders.features import make_identity, make_store


def test_stores_are_listed_by_name_finished_or_not(tmp_path: Path) -> None:
    train, val = make_store(tmp_path), make_store(tmp_path, split="val", finished=False)
    (tmp_path / "notes").mkdir()
    listed, errors = list_stores(tmp_path)
    assert [(info.path, info.complete) for info in listed] == [(train, True), (val, False)]
    assert errors == []
    assert list_stores(tmp_path / "nothing") == ([], [])


def test_a_damaged_store_hides_no_other_and_is_named_and_can_be_removed(tmp_path: Path) -> None:
    train, val = make_store(tmp_path), make_store(tmp_path, split="val")
    (train / "zarr.json").write_text("{")
    listed, errors = list_stores(tmp_path)
    assert [info.path for info in listed] == [val]
    assert [str(train / "zarr.json") in str(error) for error in errors] == [True]
    assert find_store(tmp_path, detector="tiny", split="val") == val
    with pytest.raises(StoreError, match=f"no store .* with .*{train.name}/zarr.json is damaged"):
        find_store(tmp_path, detector="tiny", split="train")
    remove_store(train)
    assert list_stores(tmp_path)[1] == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("plan", {"tokens": 1, "sparkle": 2}),
        ("plan", None),
        ("spec", {"name": "tiny", "wings": 2}),
        ("spec", "tiny"),
        ("identity", {"profile": "compact"}),
        ("identity", {"view": "base", "images": {}}),
        ("codec", 7),
        ("provenance", None),
        ("plan", ...),
        ("identity", ...),
    ],
)
def test_a_store_of_a_newer_mfd_is_named_and_hides_no_other(
    tmp_path: Path, field: str, value: object
) -> None:
    train, val = make_store(tmp_path), make_store(tmp_path, split="val")
    metadata = json.loads((train / "zarr.json").read_text())
    attributes = metadata["attributes"]
    status, _ = attributes.pop("status"), attributes.pop("checksum")
    if value is ...:
        del attributes[field]
    else:
        whole = isinstance(value, dict) and field == "identity"
        attributes[field] = {**attributes[field], **value} if whole else value
    attributes |= {"checksum": json_sha256(attributes), "status": status}
    (train / "zarr.json").write_text(json.dumps(metadata))
    listed, (error,) = list_stores(tmp_path)
    assert [info.path for info in listed] == [val]
    assert str(train / "zarr.json") in str(error)
    assert "an unknown or missing field" in str(error)
    assert "\n" not in str(error)
    assert find_store(tmp_path, detector="tiny", split="val") == val


def test_the_store_of_a_detector_and_split_is_found(tmp_path: Path) -> None:
    make_store(tmp_path, split="val")
    train = make_store(tmp_path)
    assert find_store(tmp_path, detector="tiny", split="train") == train
    digest = make_identity().spec.weights_digest
    assert find_store(tmp_path, detector="tiny", split="train", weights_digest=digest) == train


def test_a_search_without_result_names_what_differs_in_each_store(tmp_path: Path) -> None:
    train = make_store(tmp_path)
    with pytest.raises(StoreError) as refusal:
        find_store(tmp_path, detector="tiny", split="train", encoder_layer=4, view="flip")
    assert f"{train.name} has encoder_layer 0 instead of 4 and view base instead of flip" in str(
        refusal.value
    )
    with pytest.raises(StoreError, match=r"no store under .*; run `mfd extract --split val`"):
        find_store(tmp_path / "nothing", detector="tiny", split="val")


def test_a_view_that_was_not_extracted_is_asked_for_by_name(tmp_path: Path) -> None:
    make_store(tmp_path)
    with pytest.raises(StoreError, match="run `mfd extract --split train --view ms:0`"):
        find_store(tmp_path, detector="tiny", split="train", view="ms:0")


def test_an_unfinished_store_is_no_result(tmp_path: Path) -> None:
    make_store(tmp_path, finished=False)
    with pytest.raises(StoreError, match="is unfinished: 0 of 1 units"):
        find_store(tmp_path, detector="tiny", split="train")


def test_several_results_are_named_and_one_more_condition_chooses(tmp_path: Path) -> None:
    full, lite = make_store(tmp_path), make_store(tmp_path, profile="lite")
    with pytest.raises(StoreError, match=f"2 .*: {full.name}, {lite.name}; name one by --store"):
        find_store(tmp_path, detector="tiny", split="train")
    assert find_store(tmp_path, detector="tiny", split="train", profile="lite") == lite
