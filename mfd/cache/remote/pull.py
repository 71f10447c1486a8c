"""Fetching a store from a URL: an unfinished store here until its last unit has been verified."""

import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mfd.cache.manage.verify import index_damage, unit_faults
from mfd.cache.remote.place import Place
from mfd.cache.store.disk import disk_errors
from mfd.cache.store.journal import FOLDER, Journal, UnitRecord
from mfd.cache.store.lock import writer_lock
from mfd.cache.store.manifest import GROUP, Manifest, set_status
from mfd.errors import StoreError
from mfd.files import sync, write_atomically
from mfd.progress import progress
from mfd.text import size

_SEND_AGAIN = "run `mfd cache push --check` where the store came from, then pull again"


def pull_store(url: str, root: Path) -> Path:
    """Fetch the store at `url` into the folder `root`, or resume that; returns its folder.

    Every file is verified against its unit's journal before the journal, which makes the unit
    exist, is written. A store that is complete here is left as it is.

    Args:
        url: of one store, as `push_store` returns it.

    Raises:
        StoreError: no whole store is there, a file of it is damaged, another store has its name
            here, or storage or disk refuse.
        ConfigError: `url` cannot be opened.
    """
    place = Place(url)
    there = place.sizes()
    if GROUP not in there or place.name.startswith("."):
        raise StoreError(f"no whole store is at {url}; {_what_to_give(there)}")
    path = root.absolute() / place.name
    with disk_errors(path), _small_files(place, there, path) as small:
        with _said_of(place, small):
            manifest = Manifest.read(small)
            journal = Journal(small, manifest.identity_sha256)
            for damage in index_damage(small, journal):
                raise StoreError(damage.what)
            units = {unit: journal.read(unit) for unit in range(manifest.num_units)}
        if path.exists():
            here = Manifest.read(path)
            _require_same(path, here, manifest, url)
            if here.status == "complete":
                return path
        else:
            _start(small, path)
        with writer_lock(path):
            _fill(place, path, manifest, units, small)
    return path


def _what_to_give(there: Mapping[str, int]) -> str:
    stores = sorted(n.removesuffix(f"/{GROUP}") for n in there if n.count("/") == 1)
    stores = [name for name in stores if f"{name}/{GROUP}" in there and f"{FOLDER}/" not in name]
    if f"{FOLDER}/manifest.json" in there:
        return "it is half sent: run `mfd cache push` again where it came from"
    if stores:
        return f"give the URL of one in that folder, such as .../{stores[0]}"
    return "give the URL that `mfd cache push` printed"


@contextmanager
def _small_files(place: Place, there: Mapping[str, int], path: Path) -> Iterator[Path]:
    """A folder beside `path` with all files of the store but its units' data."""
    folder = path.with_name(f".{path.name}.tmp-{uuid.uuid4().hex}")
    names = [n for n in there if n.startswith((f"{FOLDER}/", "index/")) or n.endswith(GROUP)]
    try:
        place.fetch(folder, names)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _said_of(place: Place, folder: Path) -> Iterator[None]:
    """What is wrong with the files in a folder, said of the place they came from."""
    try:
        yield
    except StoreError as error:
        found = str(error).partition(";")[0].replace(str(folder), place.url)
        raise StoreError(f"{found}; {_SEND_AGAIN}") from error


def _require_same(path: Path, here: Manifest, there: Manifest, url: str) -> None:
    """Refuse to mix stores of another identity, or of another layout of files."""
    if (here.identity_sha256, here.codec, here.plan) != (
        there.identity_sha256,
        there.codec,
        there.plan,
    ):
        raise StoreError(
            f"{path} is another store than {url}, or one of another codec; remove it by "
            "`mfd cache rm`, or pull into other --stores"
        )


def _start(small: Path, path: Path) -> None:
    """Make an unfinished store without units, at once."""
    building = path.with_name(f".{path.name}.tmp-{uuid.uuid4().hex}")
    try:
        shutil.copytree(small, building, ignore=shutil.ignore_patterns("[0-9]*.json", "cost*.json"))
        set_status(building, "unfinished")
        for file in (building, *building.rglob("*")):
            sync(file)
        building.rename(path)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    sync(path.parent)


def _fill(
    place: Place, path: Path, manifest: Manifest, units: Mapping[int, UnitRecord], small: Path
) -> None:
    """Fetch the units that are missing here, and then declare the store complete."""
    journal, source = Journal(path), Journal(small)
    todo = [u for u in units if not _is_same(journal.path(u), source.path(u))]
    needed = sum(file.size for unit in todo for file in units[unit].files.values())
    if (free := shutil.disk_usage(path).free) < needed:
        raise StoreError(
            f"{path} needs up to {size(needed)} more, {path.parent} has {size(free)} free; "
            "make room and run the same command again"
        )
    with progress("pull", len(units), done=len(units) - len(todo), unit="units") as advance:
        for unit in todo:
            journal.revoke(unit)
            _fetch_unit(place, path, manifest, unit, units[unit])
            write_atomically(journal.path(unit), source.path(unit).read_bytes())
            advance()
    for name in source.read_index():
        write_atomically(path / name, (small / name).read_bytes())
    for cost in source.cost_paths():
        write_atomically(journal.folder / cost.name, cost.read_bytes())
    write_atomically(journal.index_path, source.index_path.read_bytes())
    set_status(path, "complete")


def _fetch_unit(
    place: Place, path: Path, manifest: Manifest, unit: int, record: UnitRecord
) -> None:
    """Fetch the files of a unit that are not here as they were committed, and verify them."""
    wrong = [fault.file for fault in unit_faults(path, manifest, unit, record)]
    for name in set(wrong) - set(record.files):
        (path / name).unlink()
    fetched = [name for name in wrong if name in record.files]
    place.fetch(path, fetched)
    for name in fetched:
        sync(path / name)
        sync((path / name).parent)
    for fault in unit_faults(path, manifest, unit, record):
        raise StoreError(f"{place.url}/{fault.file} {fault.what}; {_SEND_AGAIN}")


def _is_same(here: Path, there: Path) -> bool:
    return here.exists() and here.read_bytes() == there.read_bytes()
