"""Deleting stores: at once for every reader, then file by file; and which of them hold nothing."""

import shutil
import uuid
from contextlib import suppress
from pathlib import Path

from mfd.cache.store.journal import FOLDER, Journal
from mfd.cache.store.lock import writer_lock
from mfd.cache.store.manifest import Manifest
from mfd.errors import StoreError
from mfd.files import sync

PARTS = {"zarr.json", FOLDER, "dec", "enc", "c1", "index"}
"""All that mfd makes in a store."""


def holds_nothing(store: Path) -> bool:
    """Whether a store is unfinished, none of its units is finished, and all in it is mfd's."""
    try:
        complete = Manifest.read(store).status == "complete"
    except StoreError:  # damaged: what it holds is for `verify` to say
        return False
    return not (complete or Journal(store).committed() or strangers(store))


def strangers(store: Path) -> list[str]:
    """The names in a store's folder that mfd did not give."""
    return sorted(path.name for path in store.iterdir() if path.name not in PARTS)


def discard_empty(store: Path) -> None:
    """Delete a store that holds nothing, if no other process is at work on it and the disk lets."""
    with suppress(StoreError, OSError), writer_lock(store):
        if holds_nothing(store):
            delete(hide(store, store.parent))


def hide(folder: Path, root: Path) -> Path:
    """Rename a folder to what `collect_garbage` deletes; returns where it is now."""
    trash = root / f".trash-{folder.name}-{uuid.uuid4().hex}"
    folder.rename(trash)
    sync(root)
    return trash


def delete(path: Path) -> None:
    """Delete a file or a folder, alone or together with other processes that do the same."""

    def unless_gone(_: object, __: object, found: tuple[type, BaseException, object]) -> None:
        if not isinstance(found[1], FileNotFoundError):
            raise found[1]

    if path.is_dir():
        shutil.rmtree(path, onerror=unless_gone)
    else:
        path.unlink(missing_ok=True)
