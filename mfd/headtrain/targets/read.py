"""Training targets on disk: for every image its objects' masks and its matched queries.

Targets depend on features and annotations but on no head, so they are built once and kept as a
small zarr group beside the features (see `build_targets`).
"""

from pathlib import Path
from typing import Any

import numpy as np
import zarr

from mfd.errors import StoreError
from mfd.files import file_sha256, json_sha256
from mfd.headtrain.targets.image import ImageTargets
from mfd.headtrain.targets.objects import ImageObjects, TargetCounts
from mfd.headtrain.targets.view_map import ViewMap
from mfd.text import first_line

TARGETS_SCHEMA = 2
_PER_IMAGE = ("image_id", "size_hw", "matrix", "window_xyxy", "object_count", "pair_count")
_PER_OBJECT = ("annotation_id", "label", "box_xyxy", "area", "run_count")
_PER_PAIR = ("query_index", "object_index", "pair_iou")
ARRAYS = (*_PER_IMAGE, *_PER_OBJECT, *_PER_PAIR, "runs")


def image_rows(image_id: int, targets: ImageTargets) -> dict[str, np.ndarray]:
    """What one image adds to each array but the runs'."""
    objects = targets.objects
    return {
        "image_id": np.array([image_id], np.int64),
        "size_hw": np.array([objects.size_hw], np.int32),
        "matrix": objects.view.matrix[None],
        "window_xyxy": np.array([objects.view.window_xyxy]),
        "object_count": np.array([len(objects)], np.int32),
        "pair_count": np.array([len(targets.query_index)], np.int32),
        "annotation_id": objects.annotation_ids,
        "label": objects.labels.astype(np.int32),
        "box_xyxy": objects.boxes_xyxy,
        "area": objects.areas,
        "run_count": np.array([len(runs) for runs in objects.runs], np.int32),
        "query_index": targets.query_index.astype(np.int32),
        "object_index": targets.object_index.astype(np.int32),
        "pair_iou": targets.pair_iou,
    }


class Targets:
    """Finished targets on disk; `targets[i]` belongs to `store[i]`.

    Attributes:
        path: the folder.
        identity: what they were built from, and its digest.
        image_ids: in the order of the features.
        total: what became of the annotations.
        seconds: building took.
        categories: name of each category id of the annotations.
    """

    def __init__(self, path: Path, group: zarr.Group) -> None:
        attributes: dict[str, Any] = dict(group.attrs)
        self.path = path
        self.identity: dict[str, Any] = dict(attributes["identity"])
        self.total = TargetCounts(**attributes["total"])
        self.seconds = float(attributes["seconds"])
        self.categories = {int(key): str(name) for key, name in attributes["categories"].items()}
        self._columns = {
            name: np.asarray(_open_array(group, name)[:])
            for name in _PER_IMAGE + _PER_OBJECT + _PER_PAIR
        }
        self.image_ids: list[int] = self._columns["image_id"].tolist()
        self._first_object = _starts(self._columns["object_count"])
        self._first_pair = _starts(self._columns["pair_count"])
        self._first_run = _starts(self._columns["run_count"])
        self._runs = _open_array(group, "runs")

    @classmethod
    def open(cls, path: Path) -> "Targets":
        """The targets in `path`, every byte of them checked against its digest.

        Raises:
            StoreError: no finished and sound targets of this schema are there.
        """
        try:
            group = zarr.open_group(path, mode="r")
            attributes: dict[str, Any] = dict(group.attrs)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"{path} holds no targets: {first_line(error)}") from error
        if (found := attributes.get("schema")) != TARGETS_SCHEMA:
            raise StoreError(
                f"{path} has targets of schema {found}, this mfd reads schema {TARGETS_SCHEMA}; "
                "delete the folder, and they are built again"
            )
        try:
            digests = attributes["sha256"]
            damaged = [name for name in ARRAYS if array_sha256(path / name) != digests[name]]
            if attributes.pop("checksum") != json_sha256(attributes):
                fault = "its attributes are not what was written"
            elif damaged:
                fault = f"the array {damaged[0]} is not what was written"
            else:
                return cls(path, group)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            fault = first_line(error)
        raise StoreError(
            f"{path} is damaged ({fault}); delete the folder, and the targets are built again"
        )

    def __len__(self) -> int:
        return len(self.image_ids)

    def __str__(self) -> str:
        ious = self._columns["pair_iou"]
        if not len(ious):
            return str(self.total)
        return f"{self.total}; boxes of IoU 0.5 or more: {(ious >= 0.5).sum()} of {len(ious)}"

    def __getitem__(self, position: int) -> ImageTargets:
        """The targets of the image at a position.

        Raises:
            StoreError: the masks were damaged or removed after they were checked.
        """
        column = self._columns
        of_image = slice(*self._first_object[position : position + 2].tolist())
        pairs = slice(*self._first_pair[position : position + 2].tolist())
        edges = self._first_run[of_image.start : of_image.stop + 1]
        runs = self._read_runs(int(edges[0]), int(edges[-1]))
        height, width = column["size_hw"][position].tolist()
        left, top, right, bottom = column["window_xyxy"][position].tolist()
        objects = ImageObjects(
            size_hw=(height, width),
            view=ViewMap(column["matrix"][position], (left, top, right, bottom)),
            annotation_ids=column["annotation_id"][of_image],
            labels=column["label"][of_image].astype(np.int64),
            boxes_xyxy=column["box_xyxy"][of_image],
            areas=column["area"][of_image],
            runs=tuple(np.split(runs, edges[1:-1] - edges[0])) if len(edges) > 1 else (),
        )
        return ImageTargets(
            objects=objects,
            query_index=column["query_index"][pairs].astype(np.int64),
            object_index=column["object_index"][pairs].astype(np.int64),
            pair_iou=column["pair_iou"][pairs],
        )

    def _read_runs(self, start: int, stop: int) -> np.ndarray:
        shard = self._runs.shards[0]
        numbers = range(start // shard, -(-stop // shard))
        keys = [self._runs.metadata.encode_chunk_key((number,)) for number in numbers]
        try:
            for key in keys:
                (self.path / "runs" / key).stat()  # zarr would read zeros
            return np.asarray(self._runs[start:stop])
        except (OSError, ValueError, RuntimeError) as error:
            raise StoreError(
                f"{self.path} is damaged ({first_line(error)}); start again, and the targets are "
                "built again"
            ) from error

    @property
    def num_bytes(self) -> int:
        """Of all files."""
        return sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())

    @property
    def counts(self) -> list[int]:
        """Matched pairs of each image."""
        return self._columns["pair_count"].tolist()

    def trainable(self, min_iou: float) -> list[int]:
        """Positions of the images with a pair whose boxes have at least this IoU."""
        enough = np.concatenate(([0], np.cumsum(self._columns["pair_iou"] >= min_iou)))
        pairs = np.diff(enough[self._first_pair])
        return np.flatnonzero(pairs).tolist()


def array_sha256(folder: Path) -> str:
    """The digest of an array as it is stored: names and bytes of all its files, hex."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return json_sha256([[file.relative_to(folder).as_posix(), file_sha256(file)] for file in files])


def _open_array(group: zarr.Group, name: str) -> Any:
    array = group.get(name)
    if not isinstance(array, zarr.Array):
        raise KeyError(f"the array {name} is missing")
    return array


def _starts(counts: np.ndarray) -> np.ndarray:
    """Where each of several parts begins, and where the last one ends."""
    return np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))
