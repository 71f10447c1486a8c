"""Checksums of a store's files, and what the disk refuses as one line."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import google_crc32c

from mfd.errors import StoreError

_BLOCK = 1 << 22


def crc32c(path: Path) -> int:
    """The CRC-32C of a file's content, read in blocks of 4 MiB."""
    value = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            value = google_crc32c.extend(value, block)
    return value


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
        cure = "make room" if full else "fix the cause"
        where = f": {error.filename}" if error.filename else ""
        raise StoreError(
            f"{path} cannot be written ({error.strerror or error}{where}); {cure} and "
            "rerun the command, finished units are kept"
        ) from error
