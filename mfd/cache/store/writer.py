"""Making a store, one unit of 16 images at a time, so that a kill loses no finished unit."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Lock

from mfd.cache.format.arrays import REPAIR, open_arrays
from mfd.cache.format.index import write_image_list, write_sizes
from mfd.cache.format.layout import ArrayLayout
from mfd.cache.format.plan import make_plan
from mfd.cache.format.profiles import UNIT
from mfd.cache.format.records import FileRecord, ImageRecord, StoreImage
from mfd.cache.format.rows import to_rows
from mfd.cache.format.shards import Row, write_file
from mfd.cache.store.claims import Claims
from mfd.cache.store.create import create, require_room
from mfd.cache.store.disk import disk_errors, half_written
from mfd.cache.store.identity import StoreIdentity
from mfd.cache.store.journal import Journal, UnitRecord
from mfd.cache.store.lock import writer_lock
from mfd.cache.store.manifest import COPY, Manifest, require_identity, set_status
from mfd.cache.store.trash import discard_empty
from mfd.config import Codec
from mfd.detectors import ImageFeatures
from mfd.errors import StoreError
from mfd.files import atomic_file, file_sha256
from mfd.locks import exclusive_lock


class StoreWriter:
    """Writes one store. Others can do so too, and threads, each the units that it has claimed.

    Attributes:
        path: the store's folder.
        identity: of the store.
    """

    def __init__(
        self, path: Path, identity: StoreIdentity, manifest: Manifest, lock: ExitStack, part: int
    ) -> None:
        self.path = path
        self.identity = identity
        self._manifest = manifest
        self._arrays = manifest.data_arrays
        self._complete = manifest.status == "complete"
        self._lock, self._changing = lock, Lock()
        self._journal = Journal(path, manifest.identity_sha256)
        self._claims = Claims(self._journal.folder)
        self._committed = self._journal.committed()
        self._part = part
        self._seconds = self._journal.read_seconds(part) or 0.0

    @classmethod
    def open(
        cls,
        root: Path,
        identity: StoreIdentity,
        *,
        codec: Codec = "none",
        provenance: Mapping[str, str] | None = None,
        part: int = 1,
    ) -> "StoreWriter":
        """Create the store of this identity under `root`, or resume it.

        Args:
            codec: "none", "zstd" or "blosc"; lossless.
            provenance: texts to keep with a new store, such as library versions.
            part: number of this process among those that fill the store together, to keep its time.

        Raises:
            StoreError: if the store is there with another identity or codec, or damaged; another
                process repairs or removes it; or the disk has too little room for what is missing.
        """
        path = root / identity.folder_name
        if codec == "none":
            require_room(path, identity)
        if not path.exists():
            plan = make_plan(identity.spec, identity.dtype, identity.images, identity.input_hw)
            manifest = Manifest.of(identity, codec, plan, provenance or {})
            with disk_errors(path):
                create(path, identity, manifest)
        with ExitStack() as stack:
            stack.enter_context(writer_lock(path, shared=True))
            manifest = Manifest.read(path)
            require_identity(path, manifest, identity)
            if manifest.codec != codec:
                raise StoreError(
                    f"{path} was started with codec {manifest.codec}, found --codec {codec}; "
                    f"resume it with --codec {manifest.codec}, or remove the store first"
                )
            open_arrays(path, (*manifest.data_arrays, *manifest.index_arrays), codec)
            writer = cls(path, identity, manifest, stack, part)
            writer._lock = stack.pop_all()
        return writer

    @property
    def num_units(self) -> int:
        """How many units the finished store has."""
        return -(-len(self.identity.images) // UNIT)

    @property
    def todo(self) -> tuple[int, ...]:
        """Numbers of the units that are not finished, ascending."""
        return tuple(unit for unit in range(self.num_units) if unit not in self._committed)

    @property
    def num_images_done(self) -> int:
        """How many images the finished units have."""
        short = self.num_units * UNIT - len(self.identity.images)  # of the last unit
        return len(self._committed) * UNIT - short * (self.num_units - 1 in self._committed)

    def refresh(self) -> None:
        """See what other processes have finished, or made unfinished, meanwhile."""
        with self._changing:
            self._committed = self._journal.committed()

    def claim(self, units: Iterable[int]) -> bool:
        """Keep other processes from those of the units that are unfinished, until they are written.

        Returns:
            Whether there are any, and no other process works on one of them.
        """
        self.refresh()
        missing = [unit for unit in units if unit not in self._committed]
        if not missing or not self._claims.take(missing):
            return False
        self.refresh()
        for unit in self._committed.intersection(missing):  # by who has just let go of it
            self._claims.drop(unit, finished=True)
        return not self._committed.issuperset(missing)

    def has_claimed(self, unit: int) -> bool:
        """Whether this process is to write the unit."""
        return unit in self._claims

    def images(self, unit: int) -> tuple[StoreImage, ...]:
        """The images of a unit, in the order in which `write` wants their features."""
        return self.identity.images[unit * UNIT : (unit + 1) * UNIT]

    def left_out(self, of: Callable[[int], bool] = lambda unit: True) -> list[StoreImage]:
        """The images that could not be read, of those finished units that it is to look at.

        Raises:
            StoreError: a unit's journal is damaged.
        """
        return [
            image
            for unit in filter(of, sorted(self._committed))
            for image, record in zip(
                self.images(unit), self._journal.read(unit).images, strict=True
            )
            if record is None
        ]

    def revoke(self, images: Iterable[StoreImage]) -> None:
        """Make the units of these images unfinished; their data stay until they are rewritten."""
        places = {image.image_id: place for place, image in enumerate(self.identity.images)}
        for unit in {places[image.image_id] // UNIT for image in images}:
            self._revoke(unit)

    def write(self, unit: int, features: Sequence[ImageFeatures | None]) -> None:
        """Store and commit one unit; when this returns, a power cut does not lose it.

        Args:
            features: of every image of the unit, from `encode_features`; None for an image that
                cannot be read, which the finished store then lists as invalid.

        Raises:
            StoreError: if features are not those of the unit's images, not encoded as the store
                is, or do not fit; another process writes the unit; or the disk is full. The unit
                stays unfinished.
        """
        self._check_images(unit, features)
        made = [({}, None) if image is None else self._rows(image) for image in features]
        rows, sizes = [rows for rows, _ in made], [sizes for _, sizes in made]
        if unit not in self._claims and not self._claims.take((unit,)):
            raise StoreError(f"unit {unit} of {self.path} is being written by another process")
        with disk_errors(self.path):
            self._revoke(unit)
            files: dict[str, FileRecord] = {}
            for array in self._arrays:
                files |= self._write_array(array, unit, rows)
            self._journal.commit(unit, UnitRecord(tuple(sizes), files))
            with self._changing:
                self._committed.add(unit)
            self._claims.drop(unit, finished=True)

    def add_elapsed(self, seconds: float) -> None:
        """Add to the seconds that the store's units have taken, over all runs."""
        with self._changing, disk_errors(self.path):
            self._seconds += seconds
            self._journal.write_seconds(self._seconds, self._part)

    def finish(self) -> Path:
        """Declare the store complete, if it is not; returns its folder.

        Raises:
            StoreError: if units are missing, or files of finished ones are.
        """
        if self._complete:
            return self.path
        self.refresh()
        if todo := self.todo:
            raise StoreError(
                f"{self.path} is unfinished: {len(todo)} of {self.num_units} units are missing, "
                f"the first is unit {todo[0]}; run the same command again"
            )
        lock = self._journal.folder / ".finish.lock"
        while not self._complete:
            try:
                with exclusive_lock(lock, _FinishingError()):
                    if Manifest.read(self.path).status != "complete":
                        self._finish()
                    self._complete = True
                    lock.unlink(missing_ok=True)
            except _FinishingError:  # another process is at it, and may be killed meanwhile
                time.sleep(0.05)
        return self.path

    def _finish(self) -> None:
        records: list[ImageRecord | None] = []
        for unit in range(self.num_units):
            record = self._journal.read(unit)
            for name, file in record.files.items():
                path = self.path / name
                if not path.exists() or path.stat().st_size != file.size:
                    raise StoreError(f"{path} is missing or not {file.size} bytes long; {REPAIR}")
            records.extend(record.images)
        index = self._manifest.index_arrays
        with disk_errors(self.path):
            write_image_list(self.path, index, self.identity.images, self.identity.placements)
            write_sizes(self.path, index, records)
            self._journal.commit_index(self._index_files())
            leftovers = [file for file in half_written(self.path) if "cost" not in file.name]
            for leftover in (*leftovers, *self._claims.files()):
                leftover.unlink(missing_ok=True)
            set_status(self.path, "complete")

    def close(self) -> None:
        """Let other processes have the store."""
        self._claims.drop_all()
        self._lock.close()

    def __enter__(self) -> "StoreWriter":
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.close()
        if isinstance(error, Exception):  # after Ctrl-C the store stays for the next attempt
            discard_empty(self.path)

    def _revoke(self, unit: int) -> None:
        with self._changing, disk_errors(self.path):
            if self._complete:
                set_status(self.path, "unfinished")
                self._complete = False
            if unit in self._committed:
                self._journal.revoke(unit)
                self._committed.discard(unit)

    def _check_images(self, unit: int, features: Sequence[ImageFeatures | None]) -> None:
        """Refuse other images than the unit's."""
        expected = [image.image_id for image in self.images(unit)]
        found = [None if image is None else image.image_id for image in features]
        if len(found) != len(expected) or any(
            there not in (None, here) for there, here in zip(found, expected, strict=True)
        ):
            raise StoreError(f"unit {unit} got features of images {found}, expected {expected}")

    def _rows(self, image: ImageFeatures) -> tuple[Mapping[str, Row], ImageRecord]:
        return to_rows(image, self.identity.spec, self.identity.profile, self._arrays)

    def _write_array(
        self, array: ArrayLayout, unit: int, rows: Sequence[Mapping[str, Row]]
    ) -> dict[str, FileRecord]:
        """Write the unit's files of one array, whole and synced."""
        step = array.rows_per_file
        files = {}
        for start in range(0, UNIT, step):
            name = array.file(unit * UNIT + start)
            images = [image.get(array.name, ()) for image in rows[start : start + step]]
            if any(images):
                with atomic_file(self.path / name) as append:
                    files[name] = write_file(array, self._manifest.codec, images, append)
            else:
                (self.path / name).unlink(missing_ok=True)
        return files

    def _index_files(self) -> dict[str, str]:
        """sha256 of all files that belong to no unit; the group's attributes check themselves."""
        files = [self.path / COPY, *sorted(self.path.glob("*/**/zarr.json"))]
        files += [self.path / array.file(0) for array in self._manifest.index_arrays]
        return {str(f.relative_to(self.path)): file_sha256(f) for f in files}


class _FinishingError(StoreError):
    """Another process declares the store complete."""
