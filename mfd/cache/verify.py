"""Reading a store's every byte against its checksums, and making unfinished what fails."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mfd.cache.index import read_index
from mfd.cache.journal import FileRecord, Journal, WriterLock
from mfd.cache.layout import UNIT, ArrayLayout, ZarrArray, open_arrays, restore_metadata
from mfd.cache.manifest import Manifest, set_status
from mfd.errors import StoreError


@dataclass(frozen=True)
class Damage:
    """One damaged thing in a store.

    Args:
        what: the file, and what is wrong with it.
        unit: that has to be extracted again; None for metadata and index arrays, which can be
            written anew without the detector.
        image_ids: whose data is lost.
    """

    what: str
    unit: int | None = None
    image_ids: tuple[int, ...] = ()


def verify_store(path: Path, progress: Callable[[], None] | None = None) -> list[Damage]:
    """What is damaged in the store at `path`; nothing in a sound one.

    Reads every file that finished units consist of. In an unfinished store the missing units are
    no damage.

    Args:
        progress: called after every unit.

    Raises:
        StoreError: if there is no store, or the attributes of its group are damaged: nothing in
            the folder can be trusted then.
    """
    manifest = Manifest.read(path)
    complete = manifest.status == "complete"
    damage: list[Damage] = []
    data: dict[str, ZarrArray] = {}
    ids: list[int] = []
    for layout in (*manifest.data_arrays, *manifest.index_arrays):
        try:
            opened = open_arrays(path, [layout], manifest.codec)
            if layout in manifest.data_arrays:
                data |= opened
            elif complete:
                index = read_index(path, layout.name)
                ids = index.tolist() if layout.name == "index/image_id" else ids
        except StoreError as error:
            damage.append(Damage(str(error)))
    journal = Journal(path)
    committed = journal.committed()
    for unit in range(manifest.num_units):
        if unit in committed:
            damage += _unit_damage(path, unit, manifest.data_arrays, data, ids)
        elif complete:
            damage.append(Damage(f"{journal.folder} has no journal of unit {unit}", unit))
        if progress is not None:
            progress()
    return damage


def repair_store(path: Path, damage: Sequence[Damage]) -> tuple[int, ...]:
    """Make the damaged parts unfinished, so that `mfd extract` redoes just those.

    Returns:
        The numbers of the units to be redone.

    Raises:
        StoreError: if another process writes the store.
    """
    units = sorted({d.unit for d in damage if d.unit is not None})
    if damage:
        lock = WriterLock(path)
        try:
            manifest = Manifest.read(path)
            set_status(path, "unfinished")
            arrays = (*manifest.data_arrays, *manifest.index_arrays)
            restore_metadata(path, arrays, manifest.codec)
            for unit in units:
                Journal(path).revoke(unit)
        finally:
            lock.release()
    return tuple(units)


def _unit_damage(
    path: Path,
    unit: int,
    layouts: Sequence[ArrayLayout],
    arrays: dict[str, ZarrArray],
    ids: Sequence[int],
) -> Iterator[Damage]:
    """What differs between a finished unit's journal and its files."""
    try:
        record = Journal(path).read(unit)
    except StoreError as error:
        yield Damage(str(error), unit, tuple(ids[unit * UNIT : (unit + 1) * UNIT]))
        return
    for layout in layouts:
        for first in range(unit * UNIT, (unit + 1) * UNIT, layout.rows_per_file):
            name = layout.file(first)
            committed = record.files.get(name)
            found = FileRecord.of(path / name) if (path / name).exists() else None
            if found == committed:
                continue
            rows: Sequence[int] = range(first, min(first + layout.rows_per_file, len(ids)))
            if found and committed and found.size == committed.size and layout.name in arrays:
                unreadable = [row for row in rows if not _readable(arrays[layout.name], row)]
                rows = unreadable or rows
            what = f"{path / name} is {found or 'missing'}, expected {committed or 'no file'}"
            yield Damage(what, unit, tuple(ids[row] for row in rows))


def _readable(array: ZarrArray, row: int) -> bool:
    """Whether the checksums within a row's chunks hold."""
    try:
        array[row]
    except (ValueError, OSError):
        return False
    return True
