"""Metrics of a run as JSON lines, and for TensorBoard when asked for."""

import json
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from mfd.errors import ConfigError
from mfd.files import write_atomically

Record = dict[str, int | float]
"""One line: the key `step`, and what was measured there."""


class MetricsLog:
    """Appends records to `metrics.jsonl`, one line per logged step, no step twice.

    Args:
        run_dir: of the run; TensorBoard's files go to its folder `tensorboard`.
        start_step: where the run goes on; later lines of an interrupted run are taken out, and
            so is a line that was cut off.
        tensorboard: write there too.

    Raises:
        ConfigError: TensorBoard is asked for and not installed.
    """

    def __init__(self, run_dir: Path, start_step: int = 0, *, tensorboard: bool = False) -> None:
        self.path = run_dir / "metrics.jsonl"
        self._files = ExitStack()
        kept = [line for line in read_metrics(self.path) if line["step"] <= start_step]
        write_atomically(self.path, "".join(map(_line, kept)).encode())
        self._writer = _summary_writer(run_dir, start_step) if tensorboard else None
        self._file = self._files.enter_context(self.path.open("a", encoding="utf-8"))

    def write(self, record: Record) -> None:
        """Add one step's record."""
        self._file.write(_line(record))
        self._file.flush()
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


def read_metrics(path: Path) -> list[Record]:
    """The records of a metrics file, oldest first; none if there is no file.

    A last line without its end was being written when the run was killed; it is left out.
    """
    if not path.exists():
        return []
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


def _line(record: Record) -> str:
    return json.dumps(record) + "\n"


def _summary_writer(run_dir: Path, start_step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            "tensorboard=true needs TensorBoard, which is not installed; "
            "pip install 'mfd[tensorboard]' or leave it out"
        ) from error
    return SummaryWriter(run_dir / "tensorboard", purge_step=start_step + 1)
