import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from mfd import files
from mfd.cache.store.disk import disk_errors
from mfd.errors import DiskError, StoreError
from mfd.files import (
    atomic_file,
    nearest_folder,
    new_folder,
    require_writable,
    write_atomically,
    write_json,
    write_together,
)


def test_a_failed_write_leaves_the_old_content_and_no_debris(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.json"
    write_atomically(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_pieces_are_written_one_after_the_other(tmp_path: Path) -> None:
    write_atomically(tmp_path / "f", b"ab", np.arange(3, dtype="<u2"), memoryview(b"c"))
    assert (tmp_path / "f").read_bytes() == b"ab\0\0\1\0\2\0c"
    large = np.arange(300_000, dtype="<f8").reshape(3, -1)
    write_atomically(tmp_path / "f", large, b"", large[2, :0], large.tobytes()[:600_001])
    assert (tmp_path / "f").read_bytes() == large.tobytes() + large.tobytes()[:600_001]


@pytest.mark.parametrize("most", [1, 7, 10**6])
def test_pieces_are_written_whole_however_little_the_system_takes_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    writev = os.writev

    def short(file: int, views: list[memoryview]) -> int:
        return writev(file, [memoryview(b"".join(views))[:most]])

    monkeypatch.setattr(os, "writev", short)
    write_atomically(tmp_path / "f", b"ab", b"", b"cdefgh", np.arange(20, dtype="u1"))
    assert (tmp_path / "f").read_bytes() == b"abcdefgh" + bytes(range(20))


def test_calls_begin_at_multiples_of_their_length_and_have_a_bounded_number_of_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, int]] = []
    writev = os.writev

    def recorded(file: int, views: list[memoryview]) -> int:
        calls.append((sum(map(len, views)), len(views)))
        return writev(file, views)

    monkeypatch.setattr(os, "writev", recorded)
    large = np.arange(150_001, dtype="<u4")
    write_atomically(tmp_path / "f", large, b"crc3", large, b"crc3")
    assert [length for length, _ in calls] == [262_144] * 4 + [1_200_016 - 4 * 262_144]
    assert (tmp_path / "f").read_bytes() == (large.tobytes() + b"crc3") * 2
    calls.clear()
    write_atomically(tmp_path / "f", *[b"x"] * 3000)
    assert calls == [(1024, 1024), (1024, 1024), (952, 952)]


def test_a_file_that_is_not_finished_leaves_the_old_content_and_no_debris(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic_file(tmp_path / "f") as append:
            append(b"new" * 100_000)
            raise ValueError("no more")

    write_atomically(tmp_path / "f", b"old")
    with pytest.raises(ValueError, match="no more"):
        fail()
    assert [(f.name, f.read_bytes()) for f in tmp_path.iterdir()] == [("f", b"old")]


def test_the_content_is_synced_before_the_rename_and_the_folder_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    path = tmp_path / "journal.json"
    fsync = os.fsync

    def recorded(descriptor: int) -> None:
        synced.append((os.readlink(f"/proc/self/fd/{descriptor}"), path.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    write_atomically(path, b"new")
    assert synced == [(f"{path}.tmp", False), (str(tmp_path), True)]


def test_errors_of_the_disk_are_one_line_with_file_and_cure(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught, disk_errors(tmp_path):
        (tmp_path / "absent/file").write_bytes(b"")
    assert "No such file or directory: " in str(caught.value)
    assert "absent/file); fix the cause and" in str(caught.value)
    with pytest.raises(StoreError, match="make room and rerun"), disk_errors(tmp_path):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))


def test_json_is_written_a_field_a_line_and_read_back(tmp_path: Path) -> None:
    value = {"name": "crêpe", "sizes": [1, 2.5, None]}
    write_json(tmp_path / "f.json", value)
    text = (tmp_path / "f.json").read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert '\n "name": "crêpe",\n' in text


def test_a_new_folder_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "deep/folder"
    with pytest.raises(FileNotFoundError), new_folder(path) as unfinished:
        (unfinished / "half").symlink_to("nowhere")  # which cannot be synced
    assert not path.exists()
    with new_folder(path) as unfinished:
        assert list(unfinished.iterdir()) == []  # the earlier attempt is gone
        (unfinished / "inner").mkdir()
        (unfinished / "inner/file").write_text("x")
        assert not path.exists()
    assert (path / "inner/file").read_text() == "x"
    assert list(path.parent.iterdir()) == [path]


def test_a_new_folder_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(files, "sync", synced.append)
    with new_folder(tmp_path / "new") as unfinished:
        (unfinished / "file").write_text("x")
    assert set(synced[:-1]) == {unfinished, unfinished / "file"}
    assert synced[-1] == tmp_path


def test_files_are_written_together_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    write_together(tmp_path / "run", {"a.json": b"1", "b.json": b"2"})
    (tmp_path / "run/c.json.tmp").mkdir()  # where the third cannot be written

    with pytest.raises(OSError, match=r"c\.json"):
        write_together(tmp_path / "run", {"a.json": b"3", "b.json": b"4", "c.json": b"5"})

    (tmp_path / "run/c.json.tmp").rmdir()
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()} == {
        "a.json": b"1",
        "b.json": b"2",
    }


def test_the_nearest_folder_is_the_one_that_is_there(tmp_path: Path) -> None:
    assert nearest_folder(tmp_path) == tmp_path
    assert nearest_folder(tmp_path / "not" / "yet") == tmp_path
    require_writable(tmp_path / "not" / "yet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", [".", "stores"])
@pytest.mark.parametrize("kind", ["file", "link to nothing"])
def test_what_is_no_folder_is_named_and_not_passed_over(
    kind: str, below: str, tmp_path: Path
) -> None:
    place = tmp_path / "disk"
    if kind == "file":
        place.touch(mode=0o755)
    else:
        place.symlink_to("unmounted")
    for use in (nearest_folder, require_writable):
        with pytest.raises(
            DiskError, match=f"{place} is not a folder, which {place / below} needs"
        ):
            use(place / below)


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the tests' user may be root
    with pytest.raises(DiskError, match=f"nothing can be written to {tmp_path}, where .*runs bel"):
        require_writable(tmp_path / "runs")
