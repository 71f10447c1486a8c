"""Which units are finished: one small file each, written after everything it vouches for.

A unit without its journal does not exist, whatever lies in the arrays. Beside the units' journals
lie a record of the files that belong to no unit, and the seconds that the units have cost.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mfd.cache.format.arrays import REPAIR
from mfd.cache.format.index import Recorded
from mfd.cache.format.records import FileRecord, ImageRecord
from mfd.errors import StoreError
from mfd.files import canonical_json, json_sha256, sync, write_atomically
from mfd.text import first_line

FOLDER = "_units"
INDEX = "index.json"
COST = "cost.json"
_COSTS = "cost*.json"


@dataclass(frozen=True)
class UnitRecord:
    """One unit's journal.

    Args:
        images: in the unit's order.
        files: by name relative to the store; a file that is not listed must not exist.
    """

    images: tuple[ImageRecord | None, ...]
    files: Mapping[str, FileRecord]


class Journal:
    """The journals of one store, in its folder `_units`.

    Args:
        store: its folder.
        identity: of the store, 64 hex digits; what another store's journal vouches for is refused.
    """

    def __init__(self, store: Path, identity: str = "") -> None:
        self.store, self.identity = store, identity
        self.folder = store / FOLDER
        self.index_path = self.folder / INDEX

    def path(self, unit: int) -> Path:
        """The journal of a unit, whether it is there or not."""
        return self.folder / f"{unit:06d}.json"

    def cost_paths(self) -> list[Path]:
        """The records of what the units have cost, one for each part that has one."""
        return sorted(self.folder.glob(_COSTS))

    def committed(self) -> set[int]:
        """Numbers of the finished units; none in a store that is just being removed."""
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return set()
        stems = (name.removesuffix(".json") for name in names if name.endswith(".json"))
        return {int(stem) for stem in stems if stem.isdigit()}

    def read(self, unit: int) -> UnitRecord:
        """What was committed for a unit.

        Raises:
            StoreError: if the journal is missing, damaged or another store's.
        """
        path = self.path(unit)
        record = self._read(path)
        with _understood(path):
            if record.get("store", self.identity) != self.identity:  # an earlier mfd named none
                raise StoreError(f"{path} is damaged (it is another store's); {REPAIR}")
            return UnitRecord(
                images=tuple(image and _image(image) for image in record["images"]),
                files=_files(record["files"]),
            )

    def commit(self, unit: int, record: UnitRecord) -> None:
        """Make a unit exist. Everything the record names must be on the disk already."""
        images = [i and [i.input_hw, i.level_hw, i.c1_hw] for i in record.images]
        content = {"store": self.identity, "images": images, "files": _values(record.files)}
        self._write(self.path(unit), content)

    def read_index(self) -> dict[str, Recorded]:
        """The files of metadata and index arrays, as `commit_index` recorded them.

        Raises:
            StoreError: if the record is missing or damaged.
        """
        path = self.index_path
        record = self._read(path)
        with _understood(path):
            return dict(record["files"])

    def commit_index(self, sha256: Mapping[str, str]) -> None:
        """Record the files that belong to no unit, when all units are committed."""
        self._write(self.index_path, {"files": dict(sha256)})

    def read_seconds(self, part: int | None = None) -> float | None:
        """What the finished units have cost so far; None if nothing is recorded.

        Args:
            part: whose processes are counted; None: those of all parts, together.

        Raises:
            StoreError: if a record is damaged.
        """
        every = self.cost_paths() if part is None else [self._cost(part)]
        seconds = []
        for path in every:
            if path.exists():
                record = self._read(path)
                with _understood(path):
                    seconds.append(float(record["seconds"]))
        return sum(seconds) if seconds else None

    def write_seconds(self, seconds: float, part: int = 1) -> None:
        """Record what the units that processes of a part have finished cost so far."""
        with suppress(FileNotFoundError):  # a second process of this part did so at the same time
            self._write(self._cost(part), {"seconds": round(seconds, 3)})

    def forget_seconds(self) -> None:
        """Let nothing be recorded of what the units have cost."""
        for path in self.cost_paths():
            path.unlink(missing_ok=True)
        self.write_seconds(0.0)

    def revoke(self, unit: int) -> None:
        """Make a unit unfinished again; its data is overwritten later."""
        self.path(unit).unlink(missing_ok=True)
        sync(self.folder)

    def _cost(self, part: int) -> Path:
        return self.folder / (COST if part == 1 else f"cost-{part}.json")

    def _write(self, path: Path, record: dict[str, Any]) -> None:
        journal = {"record": record, "sha256": json_sha256(record)}
        write_atomically(path, canonical_json(journal).encode())

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            journal = json.loads(path.read_text())
            record, digest = journal["record"], journal["sha256"]
        except FileNotFoundError as error:
            raise StoreError(f"{path} is missing; {REPAIR}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path} is damaged ({error}); {REPAIR}") from error
        if json_sha256(record) != digest:
            raise StoreError(f"{path} is damaged (checksum differs); {REPAIR}")
        return record


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    """Name the file if its record, whose checksum is right, has other fields than are read."""
    try:
        yield
    except StoreError:
        raise
    except (LookupError, TypeError, AttributeError, ArithmeticError, ValueError) as error:
        raise StoreError(
            f"{path} has an unknown or missing field ({first_line(error)}); {REPAIR}"
        ) from error


def _values(files: Mapping[str, FileRecord]) -> dict[str, list[Any]]:
    return {name: [file.size, file.rows] for name, file in files.items()}


def _files(values: Mapping[str, list[Any]]) -> dict[str, FileRecord]:
    """Records of files; those of an earlier mfd hold a checksum in the place of the rows."""
    return {
        name: FileRecord(size, tuple(rows) if isinstance(rows, list) else None)
        for name, (size, rows) in values.items()
    }


def _image(values: list[Any]) -> ImageRecord:
    input_hw, level_hw, c1_hw = values
    return ImageRecord(tuple(input_hw), tuple((h, w) for h, w in level_hw), tuple(c1_hw))
