"""Making a store, one unit of 16 images at a time, so that a kill loses no finished unit."""

import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import zarr

from mfd.cache.durable import sync
from mfd.cache.identity import StoreIdentity, StoreImage
from mfd.cache.index import write_image_list, write_sizes
from mfd.cache.journal import FileRecord, ImageRecord, Journal, UnitRecord, WriterLock
from mfd.cache.layout import (
    REPAIR,
    UNIT,
    ArrayLayout,
    Codec,
    create_arrays,
    make_plan,
    open_arrays,
    planned_bytes,
)
from mfd.cache.manifest import Manifest, require_identity, set_status
from mfd.cache.rows import to_rows
from mfd.detector import ImageFeatures
from mfd.errors import StoreError


class StoreWriter:
    """Writes one store; from `open` to `close` nobody else can.

    Attributes:
        path: the store's folder.
        identity: of the store.
    """

    def __init__(self, path: Path, identity: StoreIdentity, manifest: Manifest) -> None:
        self.path = path
        self.identity = identity
        self._plan = manifest.plan
        self._data, self._index = manifest.data_arrays, manifest.index_arrays
        self._zarr = open_arrays(path, (*self._data, *self._index), manifest.codec, mode="r+")
        self._lock = WriterLock(path)
        remove_leftovers(path)
        self._journal = Journal(path)
        self._committed = self._journal.committed()

    @classmethod
    def open(
        cls,
        root: Path,
        identity: StoreIdentity,
        *,
        codec: Codec = "none",
        input_hw: Sequence[tuple[int, int]] | None = None,
        provenance: Mapping[str, str] | None = None,
    ) -> "StoreWriter":
        """Create the store of this identity under `root`, or go on with it where it stands.

        Args:
            codec: "none", "zstd" or "blosc"; lossless.
            input_hw: upper bounds of each image's input size, pixels, for views that change it;
                by default what the detector's preprocessing makes of the original sizes.
            provenance: texts to keep with a new store, such as library versions.

        Raises:
            StoreError: if the store is there with another identity or codec, another process
                writes it, or the disk has too little room for it.
        """
        path = root / identity.folder_name
        if not path.exists():
            if codec == "none":
                _check_room(root, planned_bytes(identity, input_hw))
            manifest = Manifest.of(identity, codec, make_plan(identity, input_hw), provenance or {})
            with _saying_what_failed(path):
                _create(path, identity, manifest)
        manifest = Manifest.read(path)
        require_identity(path, manifest, identity)
        if manifest.codec != codec:
            raise StoreError(
                f"{path} was begun with codec {manifest.codec}, asked for is {codec}; "
                f"go on with --codec {manifest.codec}, or remove the store first"
            )
        return cls(path, identity, manifest)

    @property
    def num_units(self) -> int:
        """How many units the finished store has."""
        return -(-len(self.identity.images) // UNIT)

    @property
    def todo(self) -> tuple[int, ...]:
        """Numbers of the units that are not finished, ascending."""
        return tuple(unit for unit in range(self.num_units) if unit not in self._committed)

    def images(self, unit: int) -> tuple[StoreImage, ...]:
        """The images of a unit, in the order in which `write` wants their features."""
        return self.identity.images[unit * UNIT : (unit + 1) * UNIT]

    def write(self, unit: int, features: Sequence[ImageFeatures | None]) -> None:
        """Store and commit one unit; when this returns, a power cut does not lose it.

        Args:
            features: of every image of the unit; None for an image that cannot be read, which
                the finished store then lists as invalid.

        Raises:
            StoreError: if features are not those of the unit's images, do not fit or are not
                finite, or if the disk is full. The unit stays unfinished.
        """
        images = self.images(unit)
        found = [f.image_id if f else i.image_id for f, i in zip(features, images, strict=False)]
        if len(features) != len(images) or found != [image.image_id for image in images]:
            raise StoreError(
                f"unit {unit} got features of images {found}, "
                f"expected {[image.image_id for image in images]}"
            )
        encoded = [to_rows(f, self.identity, self._plan) if f else None for f in features]
        rows = [e[0] if e else None for e in encoded]
        sizes = tuple(e[1] if e else None for e in encoded)
        with _saying_what_failed(self.path):
            if unit in self._committed:
                set_status(self.path, "unfinished")
                self._journal.revoke(unit)
                self._committed.discard(unit)
            files: dict[str, FileRecord] = {}
            for array in self._data:
                files |= self._write_array(array, unit, rows)
            self._journal.commit(unit, UnitRecord(sizes, files))
        self._committed.add(unit)

    def finish(self) -> Path:
        """Declare the store complete; returns its folder.

        Raises:
            StoreError: if units are missing, or files of finished ones are.
        """
        if todo := self.todo:
            raise StoreError(
                f"{self.path} is unfinished: {len(todo)} of {self.num_units} units are missing, "
                f"the first is unit {todo[0]}; run the same command again"
            )
        records: list[ImageRecord | None] = []
        for unit in range(self.num_units):
            record = self._journal.read(unit)
            for name, file in record.files.items():
                path = self.path / name
                if not path.exists() or path.stat().st_size != file.size:
                    raise StoreError(f"{path} is missing or not {file.size} bytes long; {REPAIR}")
            records.extend(record.images)
        with _saying_what_failed(self.path):
            write_image_list(self._zarr, self.identity.images)
            write_sizes(self._zarr, records)
            self._journal.commit_index(self._index_files())
            set_status(self.path, "complete")
        return self.path

    def close(self) -> None:
        """Let other processes write the store."""
        self._lock.release()

    def __enter__(self) -> "StoreWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write_array(
        self, array: ArrayLayout, unit: int, rows: Sequence[dict[str, np.ndarray] | None]
    ) -> dict[str, FileRecord]:
        """Write the unit's files of one array, each in one assignment, and sync them."""
        step = array.rows_per_file
        files = {}
        for start in range(0, UNIT, step):
            block = np.zeros((step, *array.shape[1:]), array.dtype)
            for row, image in zip(block, rows[start : start + step], strict=False):
                if image is not None:
                    row[: len(image[array.name])] = image[array.name]
            first = unit * UNIT + start
            path = self.path / array.file(first)
            path.unlink(missing_ok=True)  # zarr would read it first, damaged as it may be
            self._zarr[array.name][first : first + step] = block
            if path.exists():  # a file of zeros only is left out
                sync(path)
                files[array.file(first)] = FileRecord.of(path)
        sync(self.path / array.name)
        return files

    def _index_files(self) -> dict[str, FileRecord]:
        """All files that belong to no unit, synced; the group's own attributes check themselves."""
        metadata = sorted(self.path.glob("*/**/zarr.json"))
        chunks = [self.path / array.file(0) for array in self._index]
        for path in {*metadata, *chunks, *(chunk.parent for chunk in chunks)}:
            sync(path)
        return {str(p.relative_to(self.path)): FileRecord.of(p) for p in (*metadata, *chunks)}


@contextmanager
def _saying_what_failed(path: Path) -> Iterator[None]:
    """A full or failing disk as one line; what was committed is safe."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written ({error.strerror}); make room and run the same command "
            "again, finished units are kept"
        ) from error


def remove_leftovers(path: Path) -> list[Path]:
    """Delete the half-written temporary files of a killed writer; returns what they were."""
    leftovers = [*path.rglob("*.partial"), *path.rglob("*.tmp")]
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
    return leftovers


def _create(path: Path, identity: StoreIdentity, manifest: Manifest) -> None:
    """Make an empty store beside its place and move it there whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    building = path.with_name(f".{path.name}.tmp-{uuid.uuid4().hex}")
    index = manifest.index_arrays
    group = zarr.create_group(building, attributes=manifest.to_attributes())
    create_arrays(group, (*manifest.data_arrays, *index), manifest.codec)
    write_image_list(open_arrays(building, index, manifest.codec, mode="r+"), identity.images)
    for file in (building, *building.rglob("*")):
        sync(file)
    try:
        building.rename(path)
    except OSError:
        shutil.rmtree(building)
        if not path.exists():  # else another process was faster and made the same
            raise
    sync(path.parent)


def _check_room(root: Path, needed: int) -> None:
    existing = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise StoreError(
            f"the store needs about {needed / 1e9:.1f} GB, {existing} has {free / 1e9:.1f} GB "
            "free; make room, choose another store root, or the lite profile"
        )
