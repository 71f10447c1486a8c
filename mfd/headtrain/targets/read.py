"""Training targets: for every image the matched queries and their objects' masks.

Targets depend on features and annotations but on no head, so they are built once and kept as a
small zarr group beside the features (see `build_targets`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from mfd.errors import StoreError
from mfd.files import file_sha256, json_sha256
from mfd.headtrain.targets.objects import TargetCounts
from mfd.text import first_line

TARGETS_SCHEMA = 1


@dataclass
class ImageTargets:
    """The n matched queries of one image.

    Attributes:
        query_index: ascending.
        labels: logit column of the object's category.
        crops: the object's mask over the query's box; 255 where it fills a cell.
        area_ratio: area of the object's whole mask per area of the box; above 1 where the object
            is larger than the box.
        annotation_ids: of the objects.
    """

    query_index: Int[Tensor, " n"]
    labels: Int[Tensor, " n"]
    crops: UInt8[Tensor, "n G G"]
    area_ratio: Float[Tensor, " n"]
    annotation_ids: Int[Tensor, " n"]


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
        self.image_ids: list[int] = _read_array(group, "image_id").tolist()
        self._pointer = _read_array(group, "pointer")  # (images, 2) of start, count
        self._query_index = _read_array(group, "query_index")
        self._labels = _read_array(group, "label")
        self._area_ratio = _read_array(group, "area_ratio")
        self._annotation_ids = _read_array(group, "annotation_id")
        self._crops = _open_array(group, "crop")

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
            digests = attributes.get("sha256", {})  # those of mfd 0.1 have none
            damaged = [n for n, digest in digests.items() if array_sha256(path / n) != digest]
            if not damaged:
                return cls(path, group)
            fault = f"the array {damaged[0]} is not what was written"
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            fault = first_line(error)
        raise StoreError(
            f"{path} is damaged ({fault}); delete the folder, and the targets are built again"
        )

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getitem__(self, position: int) -> ImageTargets:
        start, count = self._pointer[position].tolist()
        rows = slice(start, start + count)
        crops = np.asarray(self._crops[rows])
        return ImageTargets(
            query_index=torch.from_numpy(self._query_index[rows].astype(np.int64)),
            labels=torch.from_numpy(self._labels[rows].astype(np.int64)),
            crops=torch.from_numpy(crops),
            area_ratio=torch.from_numpy(self._area_ratio[rows]),
            annotation_ids=torch.from_numpy(self._annotation_ids[rows]),
        )

    @property
    def num_bytes(self) -> int:
        """Of all files."""
        return sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())

    @property
    def counts(self) -> list[int]:
        """Objects of each image."""
        return self._pointer[:, 1].tolist()

    @property
    def crop_size(self) -> int:
        """G, cells along each side of a crop."""
        return int(self._crops.shape[-1])


def array_sha256(folder: Path) -> str:
    """The digest of an array as it is stored: names and bytes of all its files, hex."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return json_sha256([[file.relative_to(folder).as_posix(), file_sha256(file)] for file in files])


def _open_array(group: zarr.Group, name: str) -> Any:
    array = group.get(name)
    if not isinstance(array, zarr.Array):
        raise KeyError(f"the array {name} is missing")
    return array


def _read_array(group: zarr.Group, name: str) -> np.ndarray:
    return np.asarray(_open_array(group, name)[:])
