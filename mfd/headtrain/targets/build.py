"""Building targets once per features, annotations and crop size."""

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from jaxtyping import UInt8

from mfd.cache import Store, derived_dir
from mfd.coco import CocoDataset
from mfd.errors import DataError, StoreError
from mfd.files import exclusive_lock, file_sha256, json_sha256, new_folder
from mfd.headtrain.targets.match import CLASS_COST, GIOU_COST, L1_COST
from mfd.headtrain.targets.objects import MatchedObject, TargetCounts, matched_objects
from mfd.headtrain.targets.read import TARGETS_SCHEMA, Targets, array_sha256
from mfd.progress import progress

CROPS_PER_CHUNK = 8  # about the objects of one COCO image
CROPS_PER_SHARD = 512


def build_targets(
    store: Store,
    dataset: CocoDataset,
    crop_size: int,
    root: Path,
    say: Callable[[str], object] = lambda line: None,
) -> Targets:
    """The targets of a store's images, opened if they exist and built if not.

    They are kept in `root / "targets"` under a name that tells features, crop size and eight
    digits of a digest over the identity of the features, the annotation file and the matching.

    Args:
        crop_size: G, cells along each side of an object's crop; four per cell of the head's mask.
        root: where the stores are.
        say: is told of damaged targets, which are built again.

    Raises:
        DataError: no annotations, annotations of other images, or a malformed segmentation.
        StoreError: the store holds an augmented view, or logits or boxes that are not finite; or
            another process is building the same targets.
    """
    identity = _identity(store, dataset, crop_size)
    path = derived_dir(root / store.path.name, f"g{crop_size}", json_sha256(identity))
    path.parent.mkdir(parents=True, exist_ok=True)
    if (targets := _open_sound(path, say)) is not None:
        return targets
    busy = StoreError(f"another process is building {path}; start again when it has finished")
    with exclusive_lock(path.with_name(f".{path.name}.lock"), busy):
        # another process may have finished them a moment ago
        if (targets := _open_sound(path, lambda line: None)) is None:
            shutil.rmtree(path, ignore_errors=True)
            with new_folder(path) as folder:
                _build(folder, store, dataset, crop_size, identity)
            targets = Targets.open(path)
    return targets


def _open_sound(path: Path, say: Callable[[str], object]) -> Targets | None:
    """The targets in `path`; None if there are none, or damaged ones."""
    if not path.exists():
        return None
    try:
        return Targets.open(path)
    except StoreError as error:
        say(f"building the targets again: {error}")
        return None


def _identity(store: Store, dataset: CocoDataset, crop_size: int) -> dict[str, Any]:
    if dataset.annotations_file is None:
        raise DataError("these images have no annotations to train on; give --annotations")
    if store.identity.view != "base":
        raise StoreError(
            f"{store.path} holds the view {store.identity.view!r} of its images; targets are made "
            "for the view 'base', extract that one"
        )
    known = {image.image_id for image in dataset.images}
    if strangers := [i for i in store.image_ids if i not in known]:
        raise DataError(
            f"{dataset.annotations_file} does not list image {strangers[0]} of {store.path} "
            f"({len(strangers)} are missing); give the annotations of the split "
            f"{store.identity.split!r}"
        )
    return {
        "schema": TARGETS_SCHEMA,
        "features": store.identity.sha256,
        "annotations": file_sha256(dataset.annotations_file),
        "crop_size": crop_size,
        "costs": {"class": CLASS_COST, "l1": L1_COST, "giou": GIOU_COST},
    }


def _build(
    folder: Path,
    store: Store,
    dataset: CocoDataset,
    crop_size: int,
    identity: dict[str, Any],
) -> None:
    """Write arrays and attributes into an empty folder."""
    started = time.monotonic()
    group = zarr.open_group(folder, mode="w")
    images = {image.image_id: image for image in dataset.images}
    crops = _CropWriter(group, crop_size, sum(map(len, dataset.annotations.values())))
    rows: list[MatchedObject] = []
    total = TargetCounts()
    pointer = []
    with progress("matching", total=len(store), unit="images") as advance:
        for position, image_id in enumerate(store.image_ids):
            logits, boxes = store.detections(position)
            annotations = dataset.annotations.get(image_id, ())
            found, counts = matched_objects(
                logits, boxes, annotations, images[image_id], store.identity.spec, crop_size
            )
            pointer.append((len(rows), len(found)))
            for row in found:
                crops.append(row.crop)
                row.crop = row.crop[:0]  # written; the other fields are kept to the end
            rows += found
            total += counts
            advance(1)
    crops.finish()
    columns: dict[str, np.ndarray] = {
        "image_id": np.array(store.image_ids, np.int64),
        "pointer": np.array(pointer, np.int64).reshape(-1, 2),
        "query_index": np.array([row.query_index for row in rows], np.int32),
        "label": np.array([row.label for row in rows], np.int32),
        "area_ratio": np.array([row.area_ratio for row in rows], np.float32),
        "annotation_id": np.array([row.annotation_id for row in rows], np.int64),
    }
    for name, values in columns.items():
        group.create_array(name, data=values)
    seconds = time.monotonic() - started
    group.attrs.update(
        {
            "schema": TARGETS_SCHEMA,
            "identity": identity,
            "total": asdict(total),
            "seconds": round(seconds, 3),
            "categories": {str(key): name for key, name in dataset.categories.items()},
            "sha256": {name: array_sha256(folder / name) for name in (*columns, "crop")},
        }
    )


class _CropWriter:
    """Appends crops to an array one whole shard at a time, so that each is written once."""

    def __init__(self, group: zarr.Group, size: int, capacity: int) -> None:
        self._array = group.create_array(
            "crop",
            shape=(capacity, size, size),
            dtype="uint8",
            chunks=(CROPS_PER_CHUNK, size, size),
            shards=(CROPS_PER_SHARD, size, size),
        )  # in zstd, zarr's default: masks are mostly 0 and 255
        self._waiting: list[UInt8[np.ndarray, "G G"]] = []
        self._written = 0

    def append(self, crop: UInt8[np.ndarray, "G G"]) -> None:
        self._waiting.append(crop)
        if len(self._waiting) == CROPS_PER_SHARD:
            self._flush()

    def finish(self) -> None:
        self._flush()
        self._array.resize((self._written, *self._array.shape[1:]))

    def _flush(self) -> None:
        if self._waiting:
            end = self._written + len(self._waiting)
            self._array[self._written : end] = np.stack(self._waiting)
            self._written, self._waiting = end, []
