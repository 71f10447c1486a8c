"""Processes that fill a store share it; whoever repairs or removes it has it alone."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mfd.cache.store.disk import disk_errors
from mfd.cache.store.journal import FOLDER
from mfd.errors import StoreError
from mfd.locks import exclusive_lock, shared_lock


@contextmanager
def writer_lock(store: Path, *, shared: bool = False) -> Iterator[None]:
    """A context in which no other process changes or removes the store.

    Args:
        shared: others may fill it meanwhile, if they share it too.

    Raises:
        StoreError: another process does, or has just removed it; or it cannot be written.
        ConfigError: its file system has no locks.
    """
    folder = store / FOLDER
    busy = StoreError(f"{store} is being written by another process; wait for it or stop it")
    removed = StoreError(f"{store} was removed by another process; run the same command again")
    with ExitStack() as stack:
        with disk_errors(store):
            folder.mkdir(exist_ok=True)
            before = folder.stat()
            lock = shared_lock if shared else exclusive_lock
            try:  # newer releases of filelock open a file again that is gone when they have it
                stack.enter_context(lock(folder / ".lock", busy))
            except FileNotFoundError as error:
                raise removed from error
        if not folder.exists() or not os.path.samestat(folder.stat(), before):
            raise removed
        yield
