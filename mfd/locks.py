"""Locks on files, by which one process at a time writes a store or a run."""

import errno
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mfd.errors import ConfigError, MfdError

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_locking = {"wanted": True}


def use_locks(wanted: bool) -> None:
    """Whether `exclusive_lock` locks, from now on and in this process.

    Without, the user sees to it that no two processes write the same units of a store, or run.
    """
    _locking["wanted"] = wanted


def locks_wanted() -> bool:
    """What `use_locks` was told last."""
    return _locking["wanted"]


@contextmanager
def exclusive_lock(lock: Path, refusal: MfdError) -> Iterator[None]:
    """A lock on the file `lock`, created if absent, that ends with the process; tried once.

    Raises:
        MfdError: `refusal`, if another process has it.
        ConfigError: the file system has no locks; see `use_locks`.
        OSError: the file cannot be created.
    """
    if not _locking["wanted"]:
        yield
        return
    with _tried(lock, refusal):
        held = FileLock(lock, thread_local=False, fallback_to_soft=False).acquire(blocking=False)
    with held:
        yield


@contextmanager
def shared_lock(lock: Path, refusal: MfdError) -> Iterator[None]:
    """As `exclusive_lock`, but others may share it; it keeps away those who want it alone."""
    if not _locking["wanted"]:
        yield
        return
    with lock.open("ab") as file:
        with _tried(lock, refusal):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # filelock's are of this kind
        yield


@contextmanager
def _tried(lock: Path, refusal: MfdError) -> Iterator[None]:
    """What the attempt to lock a file comes to, in words."""
    try:
        yield
    except (Timeout, BlockingIOError) as error:
        raise refusal from error
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            raise
        raise ConfigError(
            f"the file system of {lock.parent} has no locks, which keep two processes from writing "
            "the same; see to that yourself and pass --no-file-locks, or set file_locks = false in "
            "mfd.toml"
        ) from error
