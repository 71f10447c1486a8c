"""Files that are either whole or absent, also after a power cut."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import google_crc32c

from mfd.errors import MfdError, StoreError

_BLOCK = 1 << 22


def write_atomically(path: Path, content: bytes) -> None:
    """Put `content` at `path` by a synced temporary file beside it and a rename.

    Of two processes that do so at the same time one fails; a path should have one writer.

    Raises:
        OSError: as the file system does; `path` is then what it was before.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file, or the list of names in a folder, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def crc32c(path: Path) -> int:
    """The CRC-32C of a file's content, read in blocks of 4 MiB."""
    value = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            value = google_crc32c.extend(value, block)
    return value


@contextmanager
def only_process(lock: Path, refusal: MfdError) -> Iterator[None]:
    """A lock on the file `lock`, made if it is absent, that ends with the process.

    Raises:
        MfdError: `refusal`, if another process has it.
    """
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise refusal from error
        yield


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Errors of the file system as one line about the store at `path`.

    Raises:
        StoreError: with the reason and the file; what was committed is safe.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        cure = "make room and run" if full else "mend that and run"
        where = f": {error.filename}" if error.filename else ""
        raise StoreError(
            f"{path} cannot be written ({error.strerror or error}{where}); {cure} the same command "
            "again, finished units are kept"
        ) from error
