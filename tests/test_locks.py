import errno
import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mfd.errors import ConfigError, TrainingError
from mfd.locks import exclusive_lock, use_locks


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


def test_a_lock_that_cannot_be_had_is_not_waited_for(tmp_path: Path) -> None:
    lock, busy = tmp_path / ".lock", TrainingError("busy")
    with exclusive_lock(lock, busy):
        started = time.monotonic()
        with pytest.raises(TrainingError, match="busy"), exclusive_lock(lock, busy):
            pass
        assert time.monotonic() - started < 1


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from mfd.locks import exclusive_lock;"
        "context = exclusive_lock(Path(sys.argv[1]), ValueError());"
        "context.__enter__(); print('held', flush=True); sys.stdin.read()"
    )
    lock, busy = tmp_path / ".lock", TrainingError("busy")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(TrainingError, match="busy"), exclusive_lock(lock, busy):
            pass
        other.kill()
    with exclusive_lock(lock, busy):
        pass


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP])
def test_a_file_system_without_locks_is_named_with_the_switch_that_does_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def none(_: int, __: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", none)
    lock, busy = tmp_path / ".lock", TrainingError("busy")
    without = pytest.raises(ConfigError, match=r"has no locks.*--no-file-locks.*mfd\.toml")
    with without, exclusive_lock(lock, busy):
        pass
    use_locks(False)
    try:
        with exclusive_lock(lock, busy), exclusive_lock(lock, busy):
            pass
    finally:
        use_locks(True)
    with without, exclusive_lock(lock, busy):
        pass
