"""Removing stores, and clearing away what killed processes left: nothing that mfd did not make."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from mfd.cache.manage.derived import DERIVED, REFERENCES, derived_dirs, reference_dir, references
from mfd.cache.manage.list import is_store
from mfd.cache.store.disk import disk_errors, half_written
from mfd.cache.store.journal import FOLDER
from mfd.cache.store.lock import writer_lock
from mfd.cache.store.trash import delete, hide, holds_nothing, strangers
from mfd.errors import StoreError
from mfd.locks import exclusive_lock

_DAY = 86400.0
_HALF_MADE = re.compile(r"\.trash-.+-[0-9a-f]{32}|\..+-[0-9a-f]{8}(-.+)?\.tmp-[0-9a-f]{32}")
_HALF_BUILT = re.compile(r"\.(?P<name>.+-[a-z0-9]+-[0-9a-f]{8})\.tmp")
_NOTE = re.compile(
    r"\.digests-[0-9a-f]{12}\.json\.tmp|\.annotations-[0-9a-f]{12}\.bin\.tmp|.+-[0-9a-f-]{36}\.txt\.tmp"
)


def remove_store(store: Path, *, force: bool = False, own: Path | None = None) -> None:
    """Delete a store, sound or not, and everything that was made from it.

    Both are gone at once for every reader, and then deleted file by file.

    Args:
        force: even if a run needs it.
        own: the user's folder of stores, where runs may have noted that they need it.

    Raises:
        StoreError: if it is not a store, a link to one, holds files that mfd did not make, or is
            being written, or a run needs it and not `force`.
    """
    store = Path(os.path.abspath(store))
    if not is_store(store):
        raise StoreError(f"{store} is not a feature store; give the folder that `mfd extract` made")
    if store.is_symlink():
        raise StoreError(
            f"{store} is a link to {store.resolve()}; delete the link by `rm`, or the store itself "
            "by `mfd cache rm` where it lies"
        )
    if others := strangers(store):
        raise StoreError(f"{store} holds {others[0]}, which mfd did not make; move it elsewhere")
    if (runs := references(store, own)) and not force:
        raise StoreError(f"{store} is needed by {runs[0]}; remove that run first, or use --force")
    with writer_lock(store), disk_errors(store):
        trash = [hide(store, store.parent)]
    trash += [hide(folder, store.parent) for folder in derived_dirs(store)]
    for folder in (*trash, reference_dir(store)):
        delete(folder)


def collect_garbage(root: Path, *, older_than: float = _DAY, dry_run: bool = False) -> list[Path]:
    """Delete what killed processes left under `root`; returns what it was.

    That is: half-deleted stores, half-created stores and targets, and half-written files, all by
    the names that mfd gives them, directly under `root` and in real stores there; and unfinished
    stores without a finished unit, which no run needs. Other stores are never touched:
    `remove_store` does that by name. Nothing behind a link is touched, nor what a process at work
    holds a lock on.

    Args:
        older_than: seconds since the last change; younger things may be another process's work.
    """
    limit = time.time() - older_than
    removed = []
    for path, lock in _leftovers(root):
        if path.is_symlink() or _last_change(path) > limit:
            continue
        try:
            with lock:
                if not dry_run:
                    delete(hide(path, root) if is_store(path) else path)
                removed.append(path)
        except _BusyError:
            continue
    return sorted(removed)


class _BusyError(StoreError):
    """A process is at work there."""


def _leftovers(root: Path) -> Iterator[tuple[Path, AbstractContextManager[None]]]:
    """What a killed process may have left, each with the lock that a living one would hold."""
    targets, notes = root / DERIVED, root / REFERENCES
    for path in _real_entries(root):
        made = _HALF_MADE if path.is_dir() else _NOTE
        if made.fullmatch(path.name):
            yield path, nullcontext()
        elif is_store(path):
            if holds_nothing(path) and not references(path):
                yield path, _while_it_holds_nothing(path)
                continue
            for file in half_written(path):
                yield file, exclusive_lock(path / FOLDER / ".lock", _BusyError())
    for path in _real_entries(targets):
        if (found := _HALF_BUILT.fullmatch(path.name)) and path.is_dir():
            yield path, exclusive_lock(targets / f".{found['name']}.lock", _BusyError())
    for folder in _real_entries(notes):
        for path in _real_entries(folder):
            if _NOTE.fullmatch(path.name) and path.is_file():
                yield path, nullcontext()


@contextmanager
def _while_it_holds_nothing(store: Path) -> Iterator[None]:
    with exclusive_lock(store / FOLDER / ".lock", _BusyError()):
        if not holds_nothing(store):  # another process has had it meanwhile
            raise _BusyError
        yield


def _real_entries(folder: Path) -> list[Path]:
    """What lies in a folder, without links; nothing where it is a link itself or none."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.is_symlink())


def _last_change(path: Path) -> float:
    """When it, or anything in it, was written last; now, if another process has just deleted it."""
    try:
        return max(each.lstat().st_mtime for each in (path, *path.rglob("*")))
    except FileNotFoundError:
        return time.time()
