"""The stores under one root: what there is, and the one that fits."""

from pathlib import Path

from mfd.cache.store.info import StoreInfo
from mfd.cache.store.journal import FOLDER
from mfd.cache.store.manifest import COPY
from mfd.errors import StoreError


def is_store(folder: Path) -> bool:
    """Whether mfd made the folder as a store, sound or not."""
    units = folder / FOLDER
    marks = (folder / "zarr.json", units / "zarr.json", folder / COPY)
    return units.is_dir() and any(mark.is_file() for mark in marks)


def list_stores(root: Path) -> tuple[list[StoreInfo], list[StoreError]]:
    """Every store under `root`, finished or not, by name; and what is wrong with unreadable ones.

    Folders that are not stores are left out.
    """
    stores, errors = [], []
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if is_store(folder) and not folder.name.startswith("."):
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
    view = wanted.get("view", "base")
    extract = f"mfd extract --split {split}" + (f" --view {view}" if view != "base" else "")
    if not fitting:
        there = f"; {'; '.join(others)}" if others else ""
        raise StoreError(f"no store under {root} with {described}{there}; run `{extract}`")
    complete = [info for info in fitting if info.complete]
    if not complete:
        raise StoreError(
            f"{fitting[0].path} is unfinished: {fitting[0].committed_units} of "
            f"{fitting[0].num_units} units are there; run `{extract}` to resume"
        )
    if len(complete) > 1:
        names = ", ".join(info.path.name for info in complete)
        raise StoreError(
            f"{len(complete)} stores under {root} with {described}: {names}; "
            f"name one by --store {complete[0].path}"
        )
    return complete[0].path


def _short(value: object) -> str:
    """The value for a message; of a digest the digits that others show of it."""
    text = str(value)
    return text[:12] if len(text) == 64 else text


def _value(info: StoreInfo, name: str) -> object:
    if name == "detector":
        return info.spec.name
    return getattr(info, name) if hasattr(info, name) else getattr(info.spec, name)
