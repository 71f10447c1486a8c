"""Removing stores, and clearing away what killed processes left."""

import shutil
import time
import uuid
from pathlib import Path

from mfd.cache.manage.derived import derived_dirs, reference_dir, references
from mfd.cache.store.disk import disk_errors
from mfd.cache.store.journal import FOLDER
from mfd.cache.store.lock import WriterLock
from mfd.errors import StoreError
from mfd.files import sync

_DAY = 86400.0


def remove_store(store: Path, *, force: bool = False) -> None:
    """Delete a store, sound or not, and everything that was made from it.

    Both are gone at once for every reader, and then deleted file by file.

    Raises:
        StoreError: if it is not a store or is being written, or a run needs it and not `force`.
    """
    if not (store / FOLDER).is_dir():
        raise StoreError(f"{store} is not a feature store; give the folder that `mfd extract` made")
    if (runs := references(store)) and not force:
        raise StoreError(f"{store} is needed by {runs[0]}; remove that run first, or use --force")
    with WriterLock(store), disk_errors(store):
        trash = [_hide(store, store.parent)]
    trash += [_hide(folder, store.parent) for folder in derived_dirs(store)]
    for folder in (*trash, reference_dir(store)):
        _delete(folder)


def collect_garbage(root: Path, *, older_than: float = _DAY, dry_run: bool = False) -> list[Path]:
    """Delete what killed processes left under `root`; returns what it was.

    That is: half-deleted stores, half-created stores and half-written files. Stores are never
    touched, finished or not: `remove_store` does that by name.

    Args:
        older_than: seconds since the last change; younger things may be another process's work.
    """
    if not root.is_dir():
        return []
    patterns = (".trash-*", ".*.tmp-*", "*.tmp", "*/**/*.tmp")
    limit = time.time() - older_than
    found = {path for pattern in patterns for path in root.glob(pattern)}
    old = sorted(path for path in found if _last_change(path) <= limit)
    if not dry_run:
        for path in old:
            _delete(path)
    return old


def _hide(folder: Path, root: Path) -> Path:
    """Rename a folder to what `collect_garbage` deletes; returns where it is now."""
    trash = root / f".trash-{folder.name}-{uuid.uuid4().hex}"
    folder.rename(trash)
    sync(root)
    return trash


def _last_change(path: Path) -> float:
    """When it was written last; now, if another process has just deleted it."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _delete(path: Path) -> None:
    """Delete a file or a folder, alone or together with other processes that do the same."""

    def unless_gone(_: object, __: object, found: tuple[type, BaseException, object]) -> None:
        if not isinstance(found[1], FileNotFoundError):
            raise found[1]

    if path.is_dir():
        shutil.rmtree(path, onerror=unless_gone)
    else:
        path.unlink(missing_ok=True)
