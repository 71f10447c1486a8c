"""Metrics of a run as JSON lines."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from pydantic_core import from_json

from mfd.distributed import rank
from mfd.files import write_atomically

Record = dict[str, int | float]
"""One line: the key `step`, and what was measured there."""


class MetricsLog:
    """Appends records to a file: a line per logged step, and one per validated epoch.

    Only rank 0 writes; on others it does nothing.

    Args:
        path: of the file.
        start_step: where the run is resumed; later lines of an interrupted run are removed, and
            so are damaged ones.
        also: is given every record that is written; see `loggers`.
    """

    def __init__(
        self,
        path: Path,
        start_step: int = 0,
        *,
        also: Callable[[Record], object] = lambda record: None,
    ) -> None:
        self.path, self._also = path, also
        self._file: IO[str] | None = None
        if rank() == 0:
            kept = read_metrics(self.path, until=start_step)
            write_atomically(self.path, "".join(map(_line, kept)).encode())
            self._file = self.path.open("a", encoding="utf-8")

    def write(self, record: Record, *, sync: bool = False) -> None:
        """Add one step's record; with `sync`, a power cut after this does not lose it."""
        if self._file is None:
            return
        self._file.write(_line(record))
        self._file.flush()
        if sync:
            os.fsync(self._file.fileno())
        self._also(record)

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()


def read_metrics(path: Path, until: float = math.inf) -> list[Record]:
    """The records of a metrics file up to a step, oldest first; none if there is no file.

    Lines that are not records are skipped: a power cut or a kill can damage a line, and the run
    can be resumed without it.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    records = [record for line in lines if (record := _parse(line)) is not None]
    return [record for record in records if record["step"] <= until]


def _parse(line: bytes) -> Record | None:
    try:
        record = from_json(line)
    except ValueError:
        return None
    if not isinstance(record, dict) or type(record.get("step")) is not int:
        return None
    return record if all(type(value) in (int, float) for value in record.values()) else None


def _line(record: Record) -> str:
    return json.dumps(record) + "\n"
