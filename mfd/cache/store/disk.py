"""What the disk refuses, as one line about a store."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mfd.errors import StoreError

_HALF_WRITTEN = re.compile(r"(c(\.\d+)+|\d{6}\.json|(zarr|index|cost|manifest)\.json)\.tmp")


def half_written(store: Path) -> list[Path]:
    """The temporary files of a killed writer, by their names; of nobody else's."""
    return sorted(f for f in store.rglob("*.tmp") if _HALF_WRITTEN.fullmatch(f.name))


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
