"""The stores under one root: listing, finding, removing, and clearing away what was left over."""

import shutil
import time
import uuid
from pathlib import Path

from mfd.cache.store.disk import disk_errors
from mfd.cache.store.info import StoreInfo
from mfd.cache.store.journal import FOLDER, WriterLock
from mfd.errors import StoreError
from mfd.files import sync, write_atomically

TARGETS = "targets"  # the folder beside the stores for what heads learn: STORE-g... for each
_REFS = ".refs"
_DAY = 86400.0


def list_stores(root: Path) -> tuple[list[StoreInfo], list[StoreError]]:
    """Every store under `root`, finished or not, by name; and what is wrong with unreadable ones.

    Folders that are no stores are left out.
    """
    stores, errors = [], []
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if (folder / FOLDER).is_dir() and not folder.name.startswith("."):
            try:
                stores.append(StoreInfo.read(folder))
            except StoreError as error:
                errors.append(error)
    return stores, errors


def find_store(root: Path, *, detector: str, split: str, **wanted: object) -> Path:
    """The one finished store under `root` of a detector and split.

    Args:
        wanted: values of further fields of `StoreInfo` (view, profile, dtype, codec, ...) or of
            its detector's spec (weights_digest, encoder_layer, ...).

    Raises:
        StoreError: if none fits (naming what differs in each that is there), the one that fits is
            unfinished, or several fit.
    """
    conditions = {"detector": detector, "split": split, **wanted}
    stores, errors = list_stores(root)
    fitting, others = [], [str(error) for error in errors]
    for info in stores:
        differing = [
            f"{name} {_short(found)} instead of {_short(value)}"
            for name, value in conditions.items()
            if (found := _value(info, name)) != value
        ]
        if differing:
            others.append(f"{info.path.name} has {' and '.join(differing)}")
        else:
            fitting.append(info)
    described = ", ".join(f"{name} {_short(value)}" for name, value in conditions.items())
    if not fitting:
        there = f"; {'; '.join(others)}" if others else ""
        raise StoreError(
            f"no store under {root} with {described}{there}; run `mfd extract --split {split}`"
        )
    complete = [info for info in fitting if info.complete]
    if not complete:
        raise StoreError(
            f"{fitting[0].path} is unfinished: {fitting[0].committed_units} of "
            f"{fitting[0].num_units} units are there; run `mfd extract --split {split}` to go on"
        )
    if len(complete) > 1:
        names = ", ".join(info.path.name for info in complete)
        raise StoreError(
            f"{len(complete)} stores under {root} with {described}: {names}; "
            f"name one by --store {complete[0].path}"
        )
    return complete[0].path


def add_reference(store: Path, run: Path) -> None:
    """Note that a run needs the store, until the run's folder is deleted."""
    folder = store.parent / _REFS / store.name
    folder.mkdir(parents=True, exist_ok=True)
    where = str(run.absolute())
    name = f"{run.name}-{uuid.uuid5(uuid.NAMESPACE_URL, where)}.txt"
    write_atomically(folder / name, where.encode())


def references(store: Path) -> list[Path]:
    """The folders of the runs that need the store and are still there."""
    folder = store.parent / _REFS / store.name
    runs = [Path(file.read_text()) for file in sorted(folder.glob("*.txt"))]
    return [run for run in runs if run.exists()]


def remove_store(store: Path, *, force: bool = False) -> None:
    """Delete a store, sound or not, and the targets that were made of it.

    Both are gone at once for every reader, and then deleted file by file.

    Raises:
        StoreError: if it is no store, is being written, or a run needs it and `force` is not set.
    """
    if not (store / FOLDER).is_dir():
        raise StoreError(f"{store} is no feature store; give the folder extract made")
    if (runs := references(store)) and not force:
        raise StoreError(f"{store} is needed by {runs[0]}; remove that run first, or use --force")
    with WriterLock(store), disk_errors(store):
        trash = [_hide(store, store.parent)]
    targets = store.parent / TARGETS
    for folder in targets.iterdir() if targets.is_dir() else ():
        if folder.name.startswith(f"{store.name}-g"):
            trash.append(_hide(folder, store.parent))
    for folder in (*trash, store.parent / _REFS / store.name):
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


def _short(value: object) -> str:
    """The value for a message; of a digest the digits that others show of it."""
    text = str(value)
    return text[:12] if len(text) == 64 else text


def _value(info: StoreInfo, name: str) -> object:
    if name == "detector":
        return info.spec.name
    return getattr(info, name) if hasattr(info, name) else getattr(info.spec, name)
