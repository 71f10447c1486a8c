"""Sending a finished store to a URL, so that nobody there ever sees a part of it as the whole."""

from collections.abc import Mapping
from pathlib import Path

from mfd.cache.format.arrays import REPAIR
from mfd.cache.manage.verify import index_damage, unit_faults
from mfd.cache.remote.place import Place
from mfd.cache.store.journal import Journal, UnitRecord
from mfd.cache.store.manifest import COPY, GROUP, Manifest, is_sound_copy
from mfd.errors import StoreError
from mfd.progress import progress


def push_store(path: Path, url: str, *, check: bool = False) -> str:
    """Send a finished store to the folder of stores at `url`; returns the URL of the store there.

    The files there are those of the store, so that zarr reads them where they lie. Units go first,
    each with its journal when its files have been read back; the group's metadata, without which
    there is no store, goes last. What is there already is not sent again.

    Args:
        check: also read back the units that an earlier push has completed, and send again what is
            damaged.

    Raises:
        StoreError: the store is unfinished or damaged, another one has its name at `url`, or the
            storage refuses.
        ConfigError: `url` cannot be opened.
    """
    path = path.absolute()
    manifest, journal = _finished(path)
    return _Push(Place(f"{url.rstrip('/')}/{path.name}"), manifest, journal).run(check)


class _Push:
    """One store on its way."""

    def __init__(self, place: Place, manifest: Manifest, journal: Journal) -> None:
        self._place, self._manifest, self._journal = place, manifest, journal
        self._path = journal.store
        self._there: Mapping[str, int] = place.sizes()
        self._published = GROUP in self._there

    def run(self, check: bool) -> str:
        """Send what is missing."""
        journals = [self._name(self._journal.path(u)) for u in range(self._manifest.num_units)]
        metadata = [COPY, *self._journal.read_index(), self._name(self._journal.index_path)]
        metadata += map(self._name, self._journal.cost_paths())
        small = [*dict.fromkeys(metadata), GROUP]
        found = self._place.read([n for n in (*journals, *small) if n in self._there])
        self._require_same_store(found)
        if found.get(COPY) is None:
            self._write(COPY)
        with progress("push", len(journals), unit="units") as advance:
            for unit, name in enumerate(journals):
                record = self._journal.read(unit)
                sent_before = found.get(name) == (self._path / name).read_bytes()
                if check or not sent_before or not self._same_sizes(record):
                    self._send_unit(unit, record, name, sent_before)
                advance()
        for name in small:  # the group comes last
            if found.get(name) != (self._path / name).read_bytes() or name == GROUP:
                self._write(name)
        return self._place.url

    def _send_unit(self, unit: int, record: UnitRecord, name: str, sent_before: bool) -> None:
        wrong = [
            file
            for file, expected in record.files.items()
            if self._there.get(file) != expected.size or not self._place.holds(self._path, file)
        ]
        if sent_before and not wrong:
            return
        for fault in unit_faults(self._path, self._manifest, unit, record):
            raise StoreError(f"{self._path / fault.file} {fault.what}; {REPAIR}")
        self._withdraw()
        if name in self._there:
            self._place.remove(name)
        self._place.send(self._path, wrong)
        self._place.write(name, (self._path / name).read_bytes())

    def _write(self, name: str) -> None:
        self._withdraw()
        self._place.write(name, (self._path / name).read_bytes())

    def _withdraw(self) -> None:
        """Before the first change: what is there is no store until the last file has come."""
        if self._published:
            self._place.remove(GROUP)
            self._published = False

    def _same_sizes(self, record: UnitRecord) -> bool:
        return all(self._there.get(name) == file.size for name, file in record.files.items())

    def _name(self, file: Path) -> str:
        return file.relative_to(self._path).as_posix()

    def _require_same_store(self, found: Mapping[str, bytes]) -> None:
        """Refuse another store. Where the manifest is damaged, the other small files tell."""
        identity, url = self._manifest.identity_sha256.encode(), self._place.url
        copy = found.get(COPY, identity)
        if identity in copy:
            return
        if is_sound_copy(copy):
            raise StoreError(f"{url} is another store than {self._path}; push to another URL")
        if not any(identity in content for content in found.values()):
            raise StoreError(
                f"{url}/{COPY} is damaged, and no other file there says that it is the store "
                f"{self._path}; remove what is there, or push to another URL"
            )


def _finished(path: Path) -> tuple[Manifest, Journal]:
    """What a finished store says of itself, its small files being sound."""
    manifest = Manifest.read(path)
    if manifest.status != "complete":
        raise StoreError(f"{path} is unfinished; run `mfd extract` again, then push it")
    journal = Journal(path, manifest.identity_sha256)
    for damage in index_damage(path, journal):
        raise StoreError(f"{damage.what}; {REPAIR}")
    return manifest, journal
