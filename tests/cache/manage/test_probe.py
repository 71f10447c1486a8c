"""The disk is measured as it is, and is afterwards what it was."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mfd.cache import probe_disk
from mfd.errors import DiskError

MEGABYTE = 2**20


def test_a_probe_reports_the_rates_of_the_disk_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    pwrite, preadv = os.pwrite, os.preadv

    def slow_write(file, block, start):  # type: ignore[no-untyped-def]
        clock[0] += len(block) / 50e6
        return pwrite(file, block, start)

    def slow_read(file, buffers, start):  # type: ignore[no-untyped-def]
        done = preadv(file, buffers, start)
        clock[0] += done / 200e6
        return done

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(os, "pwrite", slow_write)
    monkeypatch.setattr(os, "preadv", slow_read)
    speed = probe_disk(tmp_path / "stores" / "not yet", num_bytes=32 * MEGABYTE)
    assert speed.write == pytest.approx(50e6)
    assert speed.read == pytest.approx(200e6)
    assert clock[0] == pytest.approx(32 * MEGABYTE * (1 / 50e6 + 1 / 200e6))
    assert list(tmp_path.iterdir()) == []


def test_a_probe_of_a_slow_disk_ends_when_its_time_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    def tick() -> float:
        clock[0] += 0.7
        return clock[0]

    monkeypatch.setattr(time, "perf_counter", tick)
    probe_disk(tmp_path, seconds=1.0, num_bytes=128 * MEGABYTE)
    assert clock[0] < 6


@pytest.mark.parametrize("fails", ["open", "fsync", "fcntl"])
def test_a_disk_that_refuses_is_said_in_one_line(
    fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    where = {"open": "tempfile.TemporaryFile", "fsync": "os.fsync", "fcntl": "fcntl.fcntl"}[fails]
    monkeypatch.setattr(where, refuse)
    with pytest.raises(DiskError, match=r"\(Read-only file system\); choose --stores") as refusal:
        probe_disk(tmp_path, num_bytes=16 * MEGABYTE)
    assert "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_not_filled_further(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="free, too little to measure its disk; make room"):
        probe_disk(tmp_path, num_bytes=2**60)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_probe_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib\n"
        "from mfd.cache import probe_disk\n"
        "os.preadv = lambda *_: (print('reading', flush=True), sys.stdin.read())\n"
        f"probe_disk(pathlib.Path({str(tmp_path)!r}), num_bytes=2**24)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        process.send_signal(signal.SIGKILL)
    assert list(tmp_path.iterdir()) == []
