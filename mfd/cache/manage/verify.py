"""Reading a store's every byte against its checksums, and making unfinished what fails."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mfd.cache.format.arrays import open_arrays
from mfd.cache.format.chunks import ArrayFile, read_row
from mfd.cache.format.index import is_recorded, read_index
from mfd.cache.format.layout import ArrayLayout
from mfd.cache.format.profiles import UNIT
from mfd.cache.format.records import FileRecord
from mfd.cache.store.disk import disk_errors
from mfd.cache.store.journal import Journal, UnitRecord
from mfd.cache.store.lock import writer_lock
from mfd.cache.store.manifest import COPY, GROUP, Manifest, restore_metadata
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


def verify_store(path: Path, say: Callable[[str], object] = lambda line: None) -> list[Damage]:
    """What is damaged in the store at `path`; nothing in a sound one.

    Reads every file that finished units consist of. In an unfinished store the missing units are
    no damage.

    Args:
        say: is told of units whose record, by an earlier mfd, cannot tell one file from another.

    Raises:
        StoreError: if there is no store, or the attributes of its group are damaged and so is
            their copy: nothing in the folder can be trusted then.
    """
    manifest, damage = _manifest(path)
    complete = manifest.status == "complete"
    journal = Journal(path, manifest.identity_sha256)
    committed = journal.committed()
    weak = 0
    damage += index_damage(path, journal) if complete else _metadata_damage(path, manifest)
    try:
        journal.read_seconds()
    except StoreError as error:
        damage.append(Damage(str(error)))
    ids, units = [], sorted(committed)
    try:
        ids = read_index(path, manifest.index_arrays, "index/image_id").tolist()
        units = sorted(committed | set(range(manifest.num_units)))
    except StoreError as error:  # the number of images cannot be believed then
        damage += [Damage(str(error))] if complete and not damage else []
    with progress("verify", len(units), unit="units") as advance:
        for unit in units:
            if unit in committed:
                found, strong = _unit_damage(journal, unit, manifest, ids)
                damage += found
                weak += not strong
            elif complete:
                damage.append(Damage(f"{journal.folder} has no journal of unit {unit}", unit))
            advance()
    if weak:
        say(
            f"{weak} of {len(units)} units of {path} have the weak checksums of an earlier "
            "mfd, which whole files in the wrong place pass; extract the store again to be certain"
        )
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
    with writer_lock(path), disk_errors(path):
        journal = Journal(path)
        for unit in units:
            journal.revoke(unit)
        try:
            journal.read_seconds()
        except StoreError:
            journal.forget_seconds()
        restore_metadata(path, _manifest(path)[0])
    return tuple(units)


def _manifest(path: Path) -> tuple[Manifest, list[Damage]]:
    """The store's metadata, from the copy if the original is damaged."""
    file = path / GROUP
    try:
        manifest = Manifest.read(path)
        return manifest, [] if _is_canonical(file) else [Damage(f"{file} is damaged")]
    except StoreError as error:
        if not (path / COPY).exists():
            raise
        return Manifest.read_copy(path), [Damage(str(error))]


def _is_canonical(group: Path) -> bool:
    """Whether the metadata of a group, whose attributes are sound, are written as zarr does."""
    content = group.read_bytes()
    metadata = json.loads(content)
    expected = {"zarr_format": 3, "node_type": "group", "attributes": metadata.get("attributes")}
    return metadata == expected and json.dumps(metadata, indent=2).encode() == content


def index_damage(path: Path, journal: Journal) -> Iterator[Damage]:
    """What differs between the record of metadata and index arrays and their files."""
    try:
        record = journal.read_index()
    except StoreError as error:
        yield Damage(str(error))
        return
    for name, recorded in record.items():
        try:
            if not is_recorded(path / name, recorded):
                yield Damage(f"{path / name} is not the file that was written")
        except OSError as error:
            yield Damage(f"{path / name} {_said(error)}")


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


def _unit_damage(
    journal: Journal, unit: int, manifest: Manifest, ids: Sequence[int]
) -> tuple[list[Damage], bool]:
    """What differs between a finished unit's journal and its files, and if the journal can tell."""
    first = unit * UNIT
    try:
        record = journal.read(unit)
    except StoreError as error:
        return [Damage(str(error), unit, tuple(ids[first : first + UNIT]))], True
    damage = []
    for fault in unit_faults(journal.store, manifest, unit, record):
        lost = tuple(ids[row] for row in fault.rows if ids)
        damage.append(Damage(f"{journal.store / fault.file} {fault.what}", unit, lost))
    return damage, all(file.rows is not None for file in record.files.values())


class FileFault(NamedTuple):
    """A file that is not as it was committed: what is wrong with it, and which rows are lost."""

    file: str
    what: str
    rows: Sequence[int]


def unit_faults(
    path: Path, manifest: Manifest, unit: int, record: UnitRecord
) -> Iterator[FileFault]:
    """The files of a unit that are not as recorded."""
    first = unit * UNIT
    for array in manifest.data_arrays:
        for start in range(first, first + UNIT, array.rows_per_file):
            name = array.file(start)
            committed = record.files.get(name)
            stop = min(start + array.rows_per_file, manifest.num_images)
            if faults := _row_faults(path, array, manifest, range(start, stop), committed):
                yield FileFault(name, next(iter(faults.values())), tuple(faults))
            elif committed is not None:
                try:
                    ArrayFile(f"{path}/{name}", array).require_gaps()
                except (ValueError, OSError) as error:
                    yield FileFault(name, _said(error), ())


def _row_faults(
    path: Path, array: ArrayLayout, manifest: Manifest, rows: range, committed: FileRecord | None
) -> dict[int, str]:
    """What is wrong with each row of a file that is not as it was committed."""
    faults = {}
    for row in rows if array.shards else rows[:1]:
        try:
            read_row(path, array, manifest.codec, row, array.shape[1], committed)
        except (ValueError, OSError) as error:
            faults[row] = _said(error)
    if faults and not array.shards:  # all rows share one chunk
        return dict.fromkeys(rows, faults[rows[0]])
    return faults


def _said(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "is missing"
    return f"is damaged ({error})"
