"""Metrics of a run as JSON lines, and for TensorBoard when asked for."""

import json
import math
import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic_core import from_json

from mfd.distributed import rank
from mfd.errors import ConfigError
from mfd.files import write_atomically

Record = dict[str, int | float]
"""One line: the key `step`, and what was measured there."""


class MetricsLog:
    """Appends records to a file: a line per logged step, and one per validated epoch.

    Only rank 0 writes; on others it does nothing.

    Args:
        path: of the file; TensorBoard's go to the folder `tensorboard` beside it.
        start_step: where the run is resumed; later lines of an interrupted run are removed, and
            so are damaged ones.
        tensorboard: write there too.

    Raises:
        ConfigError: TensorBoard is asked for and not installed.
    """

    def __init__(self, path: Path, start_step: int = 0, *, tensorboard: bool = False) -> None:
        self.path = path
        self._files, self._writer = ExitStack(), None
        if rank() > 0:
            return
        kept = read_metrics(self.path, until=start_step)
        write_atomically(self.path, "".join(map(_line, kept)).encode())
        self._writer = _summary_writer(path.parent, start_step) if tensorboard else None
        self._file = self._files.enter_context(self.path.open("a", encoding="utf-8"))

    def write(self, record: Record, *, sync: bool = False) -> None:
        """Add one step's record; with `sync`, a power cut after this does not lose it."""
        if rank() > 0:
            return
        self._file.write(_line(record))
        self._file.flush()
        if sync:
            os.fsync(self._file.fileno())
        if self._writer is not None:
            for name, value in record.items():
                if name != "step":
                    self._writer.add_scalar(name, value, record["step"])

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._files.close()
        if self._writer is not None:
            self._writer.close()


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


def _summary_writer(folder: Path, start_step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            "tensorboard=true needs TensorBoard, which is not installed; "
            "pip install 'mfd[tensorboard]' or leave it out"
        ) from error
    return SummaryWriter(folder / "tensorboard", purge_step=start_step + 1)
