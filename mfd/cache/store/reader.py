"""Reading a finished store, one image at a time and from any number of threads."""

from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int32
from torch import Tensor

from mfd.cache.format.arrays import REPAIR
from mfd.cache.format.chunks import ArrayFile, read_row
from mfd.cache.format.index import read_images, read_index
from mfd.cache.format.layout import ArrayLayout
from mfd.cache.format.profiles import C1, UNIT, map_kinds
from mfd.cache.format.records import ImageRecord, StoreImage
from mfd.cache.format.rows import from_rows
from mfd.cache.store.identity import StoreIdentity
from mfd.cache.store.info import StoreInfo
from mfd.cache.store.journal import Journal, UnitRecord
from mfd.cache.store.manifest import Manifest
from mfd.detectors import ImageFeatures
from mfd.errors import StoreError
from mfd.images import Placement

_OPEN_FILES = 256  # of 1024 that a process usually may have


class Store:
    """The features of a list of images: `store[i]` for i in `range(len(store))`.

    Images that could not be read at extraction are left out; `store.invalid` names them.

    Attributes:
        path: the store's folder.
        spec: of the detector.
        image_ids: of `store[0]`, `store[1]`, ..., ascending.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.spec = manifest.spec
        self._manifest = manifest
        self._journal = Journal(path, manifest.identity_sha256)
        self._recorded = self._journal.read_index()
        self._units: dict[int, UnitRecord] = {}
        self._layout = manifest.data_arrays
        self._open = lru_cache(_OPEN_FILES)(ArrayFile)
        self._kinds = map_kinds(manifest.spec, manifest.profile)
        ids = self._index("index/image_id")
        self._rows = np.flatnonzero(self._index("index/valid"))
        self.image_ids: tuple[int, ...] = tuple(ids[self._rows].tolist())
        self._original_hw = self._index("index/orig_hw")

    @classmethod
    def open(cls, path: Path | str) -> "Store":
        """Open a finished store.

        Raises:
            StoreError: if there is none, it is unfinished or damaged, or of another schema.
        """
        path = Path(path)
        manifest = Manifest.read(path)
        if manifest.status != "complete":
            done = len(Journal(path).committed())
            raise StoreError(
                f"{path} is unfinished: {done} of {manifest.num_units} units of {UNIT} images are "
                "there; run `mfd extract` again to resume"
            )
        return cls(path, manifest)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, position: int) -> ImageFeatures:
        """The features at a position, in the stored element types, with the constants of maps.

        Raises:
            IndexError: beyond the last image.
            StoreError: naming the image, if its data is damaged or missing.
        """
        row, sizes = self._row(position)
        lengths = {
            kind.array: sum(height * width for height, width in kind.sizes(sizes))
            for kind in self._kinds
        }
        rows = {
            array.name: self._read(array, position, lengths.get(array.name, array.shape[1]))
            for array in self._layout
        }
        height, width = self._original_hw[row].tolist()
        image_id = self.image_ids[position]
        features = from_rows(rows, sizes, image_id, (height, width), self.spec)
        return replace(features, placement=self.placement(position))

    @property
    def has_c1(self) -> bool:
        """Whether images come with the stage-1 map."""
        return C1 in self._kinds

    def detections(self, position: int) -> tuple[Float[Tensor, "Q K"], Float[Tensor, "Q 4"]]:
        """Logits and boxes alone, as `store[position]` has them, at a fraction of the reading.

        Raises:
            IndexError, StoreError: as `store[position]`.
        """
        self._row(position)
        rows = {
            array.name: torch.from_numpy(self._read(array, position, array.shape[1]))
            for array in self._layout
            if array.name in ("dec/logit", "dec/box")
        }
        return rows["dec/logit"], rows["dec/box"]

    @cached_property
    def input_hw(self) -> Int32[np.ndarray, "N 2"]:
        """(height, width) of every image after the detector's resize, pixels."""
        return self._index("index/hw")[self._rows]

    def placement(self, position: int) -> Placement | None:
        """Where the image lies in the store's view; None of the view `base`.

        Raises:
            StoreError: if the record of it is damaged.
        """
        if self._manifest.fields["view"] == "base":
            return None
        return Placement.from_json(self._placements[position].tolist())

    def position(self, image_id: int) -> int:
        """Where an image is: `store[store.position(image_id)]`.

        Raises:
            StoreError: if the store does not have it.
        """
        try:
            return self._positions[image_id]
        except KeyError as error:
            raise StoreError(
                f"{self.path} has no image {image_id}; extract a store of the right image list"
            ) from error

    @cached_property
    def images(self) -> tuple[StoreImage, ...]:
        """File name, size and digest of `store[0]`, `store[1]`, ..."""
        return tuple(self._all_images[row] for row in self._rows)

    @cached_property
    def invalid(self) -> tuple[StoreImage, ...]:
        """The images that could not be read when the store was made."""
        valid = set(self._rows.tolist())
        return tuple(i for row, i in enumerate(self._all_images) if row not in valid)

    @cached_property
    def identity(self) -> StoreIdentity:
        """Everything that determines the store's content."""
        return self._manifest.identity(self._all_images)

    def info(self) -> StoreInfo:
        """The store in a few words."""
        return StoreInfo.read(self.path)

    @cached_property
    def _all_images(self) -> tuple[StoreImage, ...]:
        return read_images(self.path, self._manifest.index_arrays, self._recorded)

    def _index(self, name: str) -> np.ndarray:
        return read_index(self.path, self._manifest.index_arrays, name, self._recorded)

    @cached_property
    def _placements(self) -> Int32[np.ndarray, "N 13"]:
        return self._index("index/placement")[self._rows]

    @cached_property
    def _positions(self) -> dict[int, int]:
        return {image_id: position for position, image_id in enumerate(self.image_ids)}

    def _row(self, position: int) -> tuple[int, ImageRecord]:
        if not 0 <= position < len(self):
            raise IndexError(f"position {position} of a store of {len(self)} images")
        row = int(self._rows[position])
        unit = row // UNIT
        if unit not in self._units:
            self._units[unit] = self._journal.read(unit)
        sizes = self._units[unit].images[row % UNIT]
        if sizes is None:
            raise StoreError(
                f"image {self.image_ids[position]}: {self.path}/index/valid is damaged; {REPAIR}"
            )
        return row, sizes

    def _read(self, array: ArrayLayout, position: int, length: int) -> np.ndarray:
        row = int(self._rows[position])
        committed = self._units[row // UNIT].files.get(array.file(row))
        codec = self._manifest.codec
        try:
            return read_row(self.path, array, codec, row, length, committed, self._open)
        except (ValueError, OSError) as error:
            self._open.cache_clear()  # so that a file that is repaired meanwhile is seen
            raise StoreError(
                f"image {self.image_ids[position]}: {self.path / array.file(row)} is damaged "
                f"({error}); {REPAIR}"
            ) from error
