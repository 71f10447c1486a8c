"""Building targets once per features and annotations."""

import errno
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from jaxtyping import Int
from zarr.codecs import Crc32cCodec, ZstdCodec

from mfd.cache import Store, derived_dir
from mfd.coco import CocoDataset
from mfd.errors import DataError, StoreError
from mfd.files import disk_errors, json_sha256, new_folder
from mfd.headtrain.targets.match import CLASS_COST, GIOU_COST, L1_COST
from mfd.headtrain.targets.objects import TargetCounts
from mfd.headtrain.targets.read import ARRAYS, TARGETS_SCHEMA, Targets, array_sha256, image_rows
from mfd.headtrain.targets.workers import each_images_targets
from mfd.locks import exclusive_lock
from mfd.progress import progress

RUNS_PER_CHUNK = 2**14  # of some ten COCO images
RUNS_PER_SHARD = 2**20


def build_targets(
    store: Store,
    dataset: CocoDataset,
    root: Path,
    say: Callable[[str], object] = lambda line: None,
) -> Targets:
    """The targets of a store's images, opened if they exist and built if not.

    They are kept in `root / "targets"` under a name that tells features and eight digits of a
    digest over the identity of the features, the annotation file and the matching.

    Args:
        root: where the stores are.
        say: is told of damaged targets, which are built again.

    Raises:
        DataError: no annotations, annotations of other images, or a malformed segmentation.
        StoreError: the store holds logits or boxes that are not finite, or another process is
            building the same targets.
    """
    require_listed(store, dataset)
    identity = _identity(store, dataset)
    path = derived_dir(root / store.path.name, "masks", json_sha256(identity))
    if (targets := _open_sound(path, say)) is not None:
        return targets
    _require_writable(path.parent)
    busy = StoreError(f"another process is building {path}; start again when it has finished")
    with exclusive_lock(path.with_name(f".{path.name}.lock"), busy):
        # another process may have finished them a moment ago
        if (targets := _open_sound(path, lambda line: None)) is None:
            shutil.rmtree(path, ignore_errors=True)
            with disk_errors(path, "rerun the command", StoreError), new_folder(path) as folder:
                _build(folder, store, dataset, identity)
            targets = Targets.open(path)
    return targets


def _require_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise StoreError(
            f"targets cannot be written to {folder} ({error.strerror}); give the store by --store "
            "and a folder of your own by --stores"
        ) from error


def _open_sound(path: Path, say: Callable[[str], object]) -> Targets | None:
    """The targets in `path`; None if there are none, or damaged ones."""
    if not path.exists():
        return None
    try:
        return Targets.open(path)
    except StoreError as error:
        say(f"building the targets again: {error}")
        return None


def require_listed(store: Store, dataset: CocoDataset) -> None:
    """Nothing, if a data set has annotations of the store's images.

    Raises:
        DataError: it has none, or does not list an image.
    """
    if dataset.annotations_file is None:
        raise DataError("these images have no annotations to train on; give --annotations")
    known = {image.image_id for image in dataset.images}
    if strangers := [i for i in store.image_ids if i not in known]:
        raise DataError(
            f"{dataset.annotations_file} does not list image {strangers[0]} of {store.path} "
            f"({len(strangers)} are missing); give the annotations of the split "
            f"{store.identity.split!r}"
        )


def _identity(store: Store, dataset: CocoDataset) -> dict[str, Any]:
    return {
        "schema": TARGETS_SCHEMA,
        "features": store.identity.sha256,
        "annotations": dataset.annotations_sha256,
        "costs": {"class": CLASS_COST, "l1": L1_COST, "giou": GIOU_COST},
    }


def _build(folder: Path, store: Store, dataset: CocoDataset, identity: dict[str, Any]) -> None:
    """Write arrays and attributes into an empty folder."""
    started = time.monotonic()
    group = zarr.open_group(folder, mode="w")
    runs = _RunWriter(group)
    rows: list[dict[str, np.ndarray]] = []
    total = TargetCounts()
    with progress("matching", total=len(store), unit="images") as advance:
        found = each_images_targets(store, dataset)
        for image_id, (targets, counts) in zip(store.image_ids, found, strict=True):
            rows.append(image_rows(image_id, targets))
            runs.append(targets.objects.runs)
            total += counts
            advance(1)
    runs.finish()
    columns = {name: np.concatenate([part[name] for part in rows]) for name in rows[0]}
    for name, values in columns.items():
        group.create_array(name, data=values)
    seconds = time.monotonic() - started
    attributes: dict[str, Any] = {
        "schema": TARGETS_SCHEMA,
        "identity": identity,
        "total": asdict(total),
        "seconds": round(seconds, 3),
        "categories": {str(key): name for key, name in dataset.categories.items()},
        "sha256": {name: array_sha256(folder / name) for name in ARRAYS},
    }
    group.attrs.update({**attributes, "checksum": json_sha256(attributes)})


class _RunWriter:
    """Appends run lengths to an array one whole shard at a time, so that each is written once."""

    def __init__(self, group: zarr.Group) -> None:
        self._array = group.create_array(
            "runs",
            shape=(0,),
            dtype="uint32",
            chunks=(RUNS_PER_CHUNK,),
            shards=(RUNS_PER_SHARD,),
            compressors=[ZstdCodec(), Crc32cCodec()],  # most runs are short
        )
        self._waiting: list[Int[np.ndarray, " _n"]] = []
        self._count = 0

    def append(self, masks: Sequence[Int[np.ndarray, " _n"]]) -> None:
        self._waiting += [mask.astype(np.uint32) for mask in masks]
        self._count += sum(map(len, masks))
        if self._count >= RUNS_PER_SHARD:
            runs = np.concatenate(self._waiting)
            whole = self._count // RUNS_PER_SHARD * RUNS_PER_SHARD
            for start in range(0, whole, RUNS_PER_SHARD):
                self._write(runs[start : start + RUNS_PER_SHARD])
            self._waiting, self._count = [runs[whole:]], self._count - whole

    def finish(self) -> None:
        if self._waiting:
            self._write(np.concatenate(self._waiting))

    def _write(self, runs: Int[np.ndarray, " n"]) -> None:
        if len(runs):
            start = self._array.shape[0]
            self._array.resize((start + len(runs),))
            self._array[start:] = runs
