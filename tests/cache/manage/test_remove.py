import errno
import os
import shutil
import time
from pathlib import Path
from typing import Any

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
from mfd.cache.store.lock import writer_lock
from mfd.errors import StoreError
from mfd.locks import exclusive_lock
from tests.builders.features import features_of, make_identity, make_store


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


HEX = "0123456789abcdef" * 2


def aged(*paths: Path) -> None:
    """Make everything in these as old as what `collect_garbage` collects."""
    old = time.time() - 2 * 86400
    for path in paths:
        for each in (*path.rglob("*"), path):
            os.utime(each, (old, old), follow_symlinks=False)


def test_what_killed_processes_left_is_collected_when_old_and_nothing_else(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    leftovers = [
        tmp_path / f".{store.name}.tmp-{HEX}",
        tmp_path / f".trash-{store.name}-{HEX}",
        tmp_path / "targets" / f".{store.name}-g64-0a1b2c3d.tmp",
        store / "enc/tokens/c.0.0.0.tmp",
        store / "_units/000000.json.tmp",
        store / "zarr.json.tmp",
        tmp_path / ".digests-0123456789ab.json.tmp",
        tmp_path / ".annotations-0123456789ab.bin.tmp",
    ]
    for path in leftovers[:3]:
        (path / "enc").mkdir(parents=True)
    for path in leftovers[3:]:
        path.write_bytes(b"half")
    assert collect_garbage(tmp_path) == []
    aged(tmp_path)
    assert collect_garbage(tmp_path, dry_run=True) == sorted(leftovers)
    assert all(path.exists() for path in leftovers)
    assert collect_garbage(tmp_path) == sorted(leftovers)
    assert not any(path.exists() for path in leftovers)
    assert verify_store(store) == []
    assert collect_garbage(tmp_path / "nothing") == []


def test_stores_without_a_finished_unit_are_collected_when_old_and_no_others(
    tmp_path: Path,
) -> None:
    empty = make_store(tmp_path, finished=False)
    begun = make_store(tmp_path, finished=False, split="begun")
    with StoreWriter.open(tmp_path, make_identity(3, split="begun")) as writer:
        writer.write(0, features_of(writer.images(0)))
    needed = make_store(tmp_path, finished=False, split="needed")
    add_reference(needed, tmp_path)
    shared = make_store(tmp_path, finished=False, split="shared")
    (shared / "notes.txt").touch()
    damaged = make_store(tmp_path, split="damaged")
    (damaged / "_units/000000.json").unlink()
    busy = make_store(tmp_path, finished=False, split="busy")
    half = busy / "zarr.json.tmp"
    half.touch()
    assert collect_garbage(tmp_path) == []  # an extraction that was stopped today
    aged(tmp_path)
    with writer_lock(busy, shared=True):
        assert collect_garbage(tmp_path, dry_run=True) == [empty]
        assert collect_garbage(tmp_path) == [empty]
    assert not empty.exists()
    assert all(path.exists() for path in (begun, needed, shared, damaged, half))
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".trash")]


def test_what_others_made_is_never_collected(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "stores", tmp_path / "elsewhere"
    store, linked = make_store(root), make_store(elsewhere)
    kept = [
        root / "thesis.tmp",
        root / "sub/deeper/photo.tmp",
        root / ".cache.tmp-1",
        root / ".trash-1000",
        root / f".trash-{store.name}-0123/file",
        root / "targets/mine.tmp",
        root / f".trash-{store.name}-{HEX[:-1]}x",
        store / "enc/tokens/notes.tmp",
        store / "c.tmp",
        linked / "enc/tokens/c.0.0.0.tmp",
        elsewhere / f".trash-{store.name}-{HEX}/file",
    ]
    for path in kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
    (root / "linked").symlink_to(linked)
    (root / f".trash-link-{HEX}").symlink_to(elsewhere)
    aged(tmp_path)
    assert collect_garbage(root, older_than=0) == []
    assert all(path.read_bytes() == b"mine" for path in kept)


def test_what_a_process_is_building_is_never_collected(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    file = store / "_units/000000.json.tmp"
    file.write_bytes(b"half")
    targets = tmp_path / "targets" / f".{store.name}-g64-0a1b2c3d.tmp"
    targets.mkdir(parents=True)
    making = tmp_path / f".{store.name}.tmp-{HEX}"
    making.mkdir()
    aged(tmp_path)
    (making / "zarr.json").touch()  # a moment ago
    busy = exclusive_lock(targets.with_name(f"{targets.name[:-4]}.lock"), StoreError("busy"))
    with writer_lock(store), busy:
        assert collect_garbage(tmp_path) == []
    assert collect_garbage(tmp_path) == sorted([file, targets])
    assert making.exists()


def test_a_linked_store_is_not_removed_half(tmp_path: Path) -> None:
    store = make_store(tmp_path / "there")
    link = tmp_path / "here" / store.name
    link.parent.mkdir()
    link.symlink_to(store)
    with pytest.raises(StoreError, match=f"is a link to {store}; delete the link by `rm`"):
        remove_store(link, force=True)
    assert link.is_symlink()
    assert verify_store(link) == []


@pytest.mark.parametrize("mine", ["notes.txt", "analysis/figure.png"])
def test_a_store_that_holds_files_of_the_user_is_not_removed(tmp_path: Path, mine: str) -> None:
    store = make_store(tmp_path)
    (store / mine).parent.mkdir(exist_ok=True)
    (store / mine).write_text("mine")
    with pytest.raises(StoreError, match=f"holds {Path(mine).parts[0]}, which mfd did not make"):
        remove_store(store, force=True)
    assert (store / mine).read_text() == "mine"


def test_a_folder_that_is_no_store_is_not_removed_whatever_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project/_units").mkdir(parents=True)
    (tmp_path / "project/data").mkdir()
    monkeypatch.chdir(tmp_path / "project/data")
    for path in (tmp_path / "project", Path(".."), Path()):
        with pytest.raises(StoreError, match="is not a feature store"):
            remove_store(path, force=True)


def test_references_go_to_the_users_own_folder_where_the_stores_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, own, run = make_store(tmp_path / "shared"), tmp_path / "own", tmp_path / "runs/a"
    run.mkdir(parents=True)
    mkdir = Path.mkdir

    def read_only(path: Path, *arguments: Any, **named: Any) -> None:
        if path.is_relative_to(tmp_path / "shared"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        mkdir(path, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", read_only)
        add_reference(store, run, own)
        with pytest.raises(OSError, match="Read-only"):
            add_reference(store, run)
    assert references(store) == []
    assert references(store, own) == [run]
    assert sorted(path.name for path in (tmp_path / "shared").iterdir()) == [store.name]
    with pytest.raises(StoreError, match=r"is needed by .*runs/a"):
        remove_store(store, own=own)


def test_garbage_that_another_process_is_deleting_too_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trash = tmp_path / f".trash-a-{HEX}"
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
