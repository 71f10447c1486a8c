"""What the disk refuses, as one line about a store."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mfd.errors import StoreError


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
