import os
import shutil
import time
from pathlib import Path

import pytest

from mfd.cache import (
    StoreWriter,
    add_reference,
    collect_garbage,
    derived_dir,
    references,
    remove_store,
    verify_store,
)
from mfd.errors import StoreError
from tests.builders.features import make_identity, make_store


def test_a_store_is_removed_with_all_its_files(tmp_path: Path) -> None:
    train, val = make_store(tmp_path), make_store(tmp_path, split="val")
    remove_store(train)
    assert list(tmp_path.iterdir()) == [val]
    with pytest.raises(StoreError, match="is not a feature store"):
        remove_store(train)


def test_what_was_made_from_a_removed_store_goes_with_it_and_that_of_others_stays(
    tmp_path: Path,
) -> None:
    train, val = make_store(tmp_path), make_store(tmp_path, split="val")
    copy = train.with_name(f"{train.name}-copy")
    shutil.copytree(train, copy)
    made = [derived_dir(store, "g128", "0123456789") for store in (train, val, copy)]
    assert made[0] == tmp_path / "targets" / f"{train.name}-g128-01234567"  # as always
    for folder in made:
        (folder / "crop").mkdir(parents=True)
    remove_store(train)
    assert sorted((tmp_path / "targets").iterdir()) == sorted(made[1:])
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "targets", val, copy])


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
    assert verify_store(store) == []
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
