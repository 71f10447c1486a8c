import os
import time
from pathlib import Path

import pytest

from mfd.cache import (
    Store,
    StoreWriter,
    add_reference,
    collect_garbage,
    find_store,
    list_stores,
    references,
    remove_store,
)
from mfd.errors import StoreError
from tests.cache.material import features_of, make_identity


def make_store(root: Path, *, finished: bool = True, **fields: object) -> Path:
    with StoreWriter.open(root, make_identity(3, **fields)) as writer:
        if finished:
            writer.write(0, features_of(writer.images(0)))
            writer.finish()
        return writer.path


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


def test_an_unfinished_store_is_no_result(tmp_path: Path) -> None:
    make_store(tmp_path, finished=False)
    with pytest.raises(StoreError, match="is unfinished: 0 of 1 units"):
        find_store(tmp_path, detector="tiny", split="train")


def test_several_results_are_named_and_one_more_condition_chooses(tmp_path: Path) -> None:
    full, lite = make_store(tmp_path), make_store(tmp_path, profile="lite")
    with pytest.raises(StoreError, match=f"2 .*: {full.name}, {lite.name}; name one by --store"):
        find_store(tmp_path, detector="tiny", split="train")
    assert find_store(tmp_path, detector="tiny", split="train", profile="lite") == lite


def test_a_store_is_removed_with_all_its_files(tmp_path: Path) -> None:
    train, val = make_store(tmp_path), make_store(tmp_path, split="val")
    remove_store(train)
    assert list(tmp_path.iterdir()) == [val]
    with pytest.raises(StoreError, match="is no feature store"):
        remove_store(train)


def test_the_targets_of_a_removed_store_go_with_it_and_those_of_others_stay(tmp_path: Path) -> None:
    train, val = make_store(tmp_path), make_store(tmp_path, split="val")
    targets = [tmp_path / "targets" / f"{store.name}-g128-01234567" for store in (train, val)]
    for folder in targets:
        (folder / "crop").mkdir(parents=True)
    remove_store(train)
    assert list((tmp_path / "targets").iterdir()) == targets[1:]
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "targets", val])


def test_a_store_that_a_run_needs_is_kept_while_the_run_exists(tmp_path: Path) -> None:
    store, run = make_store(tmp_path / "stores"), tmp_path / "runs/a"
    run.mkdir(parents=True)
    add_reference(store, run)
    add_reference(store, run)
    assert references(store) == [run]
    with pytest.raises(StoreError, match=r"is needed by .*runs/a"):
        remove_store(store)
    run.rmdir()
    assert references(store) == []
    remove_store(store)
    assert not store.exists()


def test_a_store_that_is_being_written_is_not_removed(tmp_path: Path) -> None:
    with (
        StoreWriter.open(tmp_path, make_identity()) as writer,
        pytest.raises(StoreError, match="being written"),
    ):
        remove_store(writer.path, force=True)


def test_what_killed_processes_left_is_collected_when_old_and_nothing_else(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    leftovers = [
        tmp_path / f".{store.name}.tmp-0123",
        tmp_path / f".trash-{store.name}-4567",
        store / "enc/tokens/c.0.0.0.tmp",
        store / "_units/000000.json.tmp",
    ]
    for path in leftovers[:2]:
        path.mkdir()
    for path in leftovers[2:]:
        path.write_bytes(b"half")
    assert collect_garbage(tmp_path) == []
    old = time.time() - 2 * 86400
    for path in (*leftovers, store):
        os.utime(path, (old, old))
    assert collect_garbage(tmp_path, dry_run=True) == sorted(leftovers)
    assert all(path.exists() for path in leftovers)
    assert collect_garbage(tmp_path) == sorted(leftovers)
    assert not any(path.exists() for path in leftovers)
    assert Store.open(store).verify() == []
    assert collect_garbage(tmp_path / "nothing") == []


def test_garbage_that_another_process_is_deleting_too_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trash = tmp_path / ".trash-a-0123"
    (trash / "enc").mkdir(parents=True)
    for name in ("a", "enc/b"):
        (trash / name).write_bytes(b"x")
    unlink = os.unlink

    def twice(path: str, **where: int) -> None:
        unlink(path, **where)  # the other process
        unlink(path, **where)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", twice)
        assert collect_garbage(tmp_path, older_than=0) == [trash]
    assert list(tmp_path.iterdir()) == []
