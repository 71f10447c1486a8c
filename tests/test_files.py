import errno
import os
import random
from pathlib import Path

import google_crc32c
import pytest

from mfd.cache.store.disk import crc32c, disk_errors
from mfd.errors import StoreError, TrainingError
from mfd.files import exclusive_lock, write_atomically


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


def test_the_checksum_of_a_file_longer_than_a_block_is_that_of_its_bytes(tmp_path: Path) -> None:
    content = random.Random(0).randbytes(5_000_001)
    (tmp_path / "f").write_bytes(content)
    assert crc32c(tmp_path / "f") == google_crc32c.value(content)


def test_errors_of_the_disk_are_one_line_with_file_and_cure(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught, disk_errors(tmp_path):
        (tmp_path / "absent/file").write_bytes(b"")
    assert "No such file or directory: " in str(caught.value)
    assert "absent/file); fix the cause and" in str(caught.value)
    with pytest.raises(StoreError, match="make room and rerun"), disk_errors(tmp_path):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))


def test_a_lock_is_had_by_one_at_a_time_and_free_again_after_an_error(tmp_path: Path) -> None:
    lock, busy = tmp_path / ".lock", TrainingError("busy")
    with (
        exclusive_lock(lock, busy),
        pytest.raises(TrainingError, match="busy"),
        exclusive_lock(lock, busy),
    ):
        pass
    with pytest.raises(KeyError), exclusive_lock(lock, busy):
        raise KeyError
    with exclusive_lock(lock, busy):
        pass
