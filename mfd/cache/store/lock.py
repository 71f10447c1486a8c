"""One process at a time changes or removes a store."""

import fcntl
import os
from pathlib import Path

from mfd.cache.store.disk import disk_errors
from mfd.cache.store.journal import FOLDER
from mfd.errors import StoreError


class WriterLock:
    """Held by the one process that changes or removes a store; it ends with the process.

    Raises:
        StoreError: if another process holds it, or has just removed the store.
    """

    def __init__(self, store: Path) -> None:
        path = store / FOLDER / ".lock"
        with disk_errors(store):
            path.parent.mkdir(exist_ok=True)
            self._file = path.open("a")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.release()
            raise StoreError(
                f"{store} is being written by another process; wait for it or stop it"
            ) from error
        here = os.fstat(self._file.fileno())
        if not path.exists() or not os.path.samestat(path.stat(), here):
            self.release()
            raise StoreError(f"{store} was removed by another process; run the same command again")

    def release(self) -> None:
        """Let another process write."""
        self._file.close()

    def __enter__(self) -> "WriterLock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
