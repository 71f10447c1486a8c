"""The stores under one root: listing, finding, removing, and clearing away what was left over."""

import json
import shutil
import time
import uuid
from pathlib import Path

from mfd.cache.durable import sync, write_atomically
from mfd.cache.info import StoreInfo
from mfd.cache.journal import WriterLock
from mfd.errors import StoreError

_REFS = ".refs"
_DAY = 86400.0


def list_stores(root: Path) -> list[StoreInfo]:
    """Every store under `root`, finished or not, by name; folders that are none are left out."""
    if not root.is_dir():
        return []
    folders = sorted(f for f in root.iterdir() if f.is_dir() and not f.name.startswith("."))
    return [StoreInfo.read(f) for f in folders if (f / "zarr.json").exists()]


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
    fitting, others = [], []
    for info in list_stores(root):
        differing = [
            f"{name} {found} instead of {value}"
            for name, value in conditions.items()
            if (found := _value(info, name)) != value
        ]
        if differing:
            others.append(f"{info.path.name} has {' and '.join(differing)}")
        else:
            fitting.append(info)
    described = ", ".join(f"{name} {value}" for name, value in conditions.items())
    if not fitting:
        there = f"; {'; '.join(others)}" if others else ""
        raise StoreError(
            f"no store under {root} with {described}{there}; run `mfd extract --split {split}`"
        )
    complete = [info for info in fitting if info.complete]
    if not complete:
        raise StoreError(
            f"{fitting[0].path} is unfinished: {fitting[0].committed_units} of "
            f"{fitting[0].num_units} units are there; run `mfd extract` again to go on"
        )
    if len(complete) > 1:
        names = ", ".join(info.path.name for info in complete)
        raise StoreError(
            f"{len(complete)} stores under {root} with {described}: {names}; name one of them"
        )
    return complete[0].path


def add_reference(store: Path, run: Path) -> None:
    """Note that a run needs the store, until the run's folder is deleted."""
    folder = store.parent / _REFS / store.name
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"run": str(run.absolute())})
    write_atomically(
        folder / f"{run.name}-{uuid.uuid5(uuid.NAMESPACE_URL, text)}.json", text.encode()
    )


def references(store: Path) -> list[Path]:
    """The folders of the runs that need the store and are still there."""
    folder = store.parent / _REFS / store.name
    runs = (Path(json.loads(file.read_text())["run"]) for file in sorted(folder.glob("*.json")))
    return [run for run in runs if run.exists()]


def remove_store(store: Path, *, force: bool = False) -> None:
    """Delete a store, at once for every reader, then file by file.

    Raises:
        StoreError: if it is no store, is being written, or a run needs it and `force` is not set.
    """
    StoreInfo.read(store)
    if (runs := references(store)) and not force:
        raise StoreError(f"{store} is needed by {runs[0]}; remove that run first, or use --force")
    WriterLock(store).release()
    trash = store.with_name(f".trash-{store.name}-{uuid.uuid4().hex}")
    store.rename(trash)
    sync(store.parent)
    shutil.rmtree(trash)
    shutil.rmtree(store.parent / _REFS / store.name, ignore_errors=True)


def collect_garbage(root: Path, *, older_than: float = _DAY, dry_run: bool = False) -> list[Path]:
    """Delete what killed processes left under `root`; returns what it was.

    That is: half-deleted stores, half-created stores and half-written files. Stores are never
    touched, finished or not: `remove_store` does that by name.

    Args:
        older_than: seconds since the last change; younger things may be another process's work.
    """
    if not root.is_dir():
        return []
    patterns = (".trash-*", ".*.tmp-*", "*/**/*.partial", "*/**/*.tmp")
    limit = time.time() - older_than
    found = {path for pattern in patterns for path in root.glob(pattern)}
    old = sorted(path for path in found if path.stat().st_mtime <= limit)
    if not dry_run:
        for path in old:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    return old


def _value(info: StoreInfo, name: str) -> object:
    if name == "detector":
        return info.spec.name
    return getattr(info, name) if hasattr(info, name) else getattr(info.spec, name)
