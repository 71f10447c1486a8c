"""Reading a store's every byte against its checksums, and making unfinished what fails."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mfd.cache.format.arrays import open_arrays
from mfd.cache.format.chunks import read_row
from mfd.cache.format.index import read_index
from mfd.cache.format.layout import ArrayLayout
from mfd.cache.format.profiles import UNIT
from mfd.cache.store.disk import disk_errors
from mfd.cache.store.journal import FileRecord, Journal
from mfd.cache.store.lock import WriterLock
from mfd.cache.store.manifest import COPY, Manifest, restore_metadata
from mfd.errors import StoreError
from mfd.progress import progress


@dataclass(frozen=True)
class Damage:
    """One damaged thing in a store.

    Args:
        what: the file, and what is wrong with it.
        unit: that has to be extracted again; None for metadata and index arrays, which can be
            rewritten without the detector.
        image_ids: whose data is lost.
    """

    what: str
    unit: int | None = None
    image_ids: tuple[int, ...] = ()


def verify_store(path: Path) -> list[Damage]:
    """What is damaged in the store at `path`; nothing in a sound one.

    Reads every file that finished units consist of. In an unfinished store the missing units are
    no damage.

    Raises:
        StoreError: if there is no store, or the attributes of its group are damaged and so is
            their copy: nothing in the folder can be trusted then.
    """
    manifest, damage = _manifest(path)
    complete = manifest.status == "complete"
    journal = Journal(path)
    committed = journal.committed()
    damage += _index_damage(path, journal) if complete else _metadata_damage(path, manifest)
    try:
        journal.read_seconds()
    except StoreError as error:
        damage.append(Damage(str(error)))
    ids = _image_ids(path)
    with progress("verify", manifest.num_units, unit="units") as advance:
        for unit in range(manifest.num_units):
            if unit in committed:
                damage += _unit_damage(path, unit, manifest, ids)
            elif complete:
                damage.append(Damage(f"{journal.folder} has no journal of unit {unit}", unit))
            advance()
    return damage


def repair_store(path: Path, damage: Sequence[Damage]) -> tuple[int, ...]:
    """Make the damaged parts unfinished, so that `mfd extract` redoes just those.

    Returns:
        The numbers of the units to be redone.

    Raises:
        StoreError: if another process writes the store.
    """
    units = sorted({d.unit for d in damage if d.unit is not None})
    if not damage:
        return ()
    with WriterLock(path), disk_errors(path):
        journal = Journal(path)
        for unit in units:
            journal.revoke(unit)
        try:
            journal.read_seconds()
        except StoreError:
            journal.write_seconds(0.0)
        restore_metadata(path, _manifest(path)[0])
    return tuple(units)


def _manifest(path: Path) -> tuple[Manifest, list[Damage]]:
    """The store's metadata, from the copy if the original is damaged."""
    try:
        return Manifest.read(path), []
    except StoreError as error:
        if not (path / COPY).exists():
            raise
        return Manifest.read_copy(path), [Damage(str(error))]


def _index_damage(path: Path, journal: Journal) -> Iterator[Damage]:
    """What differs between the record of metadata and index arrays and their files."""
    try:
        record = journal.read_index()
    except StoreError as error:
        yield Damage(str(error))
        return
    for name, committed in record.items():
        if (found := _found(path / name)) != committed:
            yield Damage(_difference(path / name, found, committed))


def _metadata_damage(path: Path, manifest: Manifest) -> Iterator[Damage]:
    """What hinders an unfinished store, of which no record exists yet, from being continued."""
    for layout in (*manifest.data_arrays, *manifest.index_arrays):
        try:
            open_arrays(path, [layout], manifest.codec)
        except StoreError as error:
            yield Damage(str(error))
    try:
        Manifest.read_copy(path)
    except StoreError:
        yield Damage(f"{path / COPY} is damaged")


def _unit_damage(path: Path, unit: int, manifest: Manifest, ids: Sequence[int]) -> Iterator[Damage]:
    """What differs between a finished unit's journal and its files."""
    try:
        record = Journal(path).read(unit)
    except StoreError as error:
        yield Damage(str(error), unit, tuple(ids[unit * UNIT : (unit + 1) * UNIT]))
        return
    for layout in manifest.data_arrays:
        for first in range(unit * UNIT, (unit + 1) * UNIT, layout.rows_per_file):
            file = path / layout.file(first)
            found, committed = _found(file), record.files.get(layout.file(first))
            if found == committed:
                continue
            rows = range(first, min(first + layout.rows_per_file, len(ids)))
            lost = [row for row in rows if not _readable(path, layout, manifest, row, committed)]
            what = _difference(file, found, committed)
            yield Damage(what, unit, tuple(ids[row] for row in lost or rows))


def _readable(
    path: Path, layout: ArrayLayout, manifest: Manifest, row: int, committed: FileRecord | None
) -> bool:
    """Whether all chunks of a row are there and agree with their checksums."""
    size = None if committed is None else committed.size
    try:
        read_row(path, layout, manifest.codec, row, layout.shape[1], size)
    except (ValueError, OSError):
        return False
    return True


def _image_ids(path: Path) -> list[int]:
    """The ids by row, for naming the lost images; none if that array itself is damaged."""
    try:
        return read_index(path, "index/image_id").tolist()
    except StoreError:
        return []


def _found(path: Path) -> FileRecord | None:
    try:
        return FileRecord.of(path)
    except FileNotFoundError:
        return None


def _difference(path: Path, found: FileRecord | None, committed: FileRecord | None) -> str:
    if found is None or committed is None:
        return f"{path} is {'missing' if found is None else 'there but was never committed'}"
    if found.size != committed.size:
        return f"{path} has {found.size} bytes, expected {committed.size}"
    return f"{path} has checksum {found.crc32c:08x}, expected {committed.crc32c:08x}"
