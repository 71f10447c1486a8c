"""Where a run's metrics also go: TensorBoard, Trackio, Weights & Biases."""

import importlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from mfd.distributed import rank
from mfd.errors import ConfigError
from mfd.files import write_atomically
from mfd.headtrain.config.train import Log
from mfd.headtrain.training.metrics import Record
from mfd.text import first_line

PROJECT = "mfd"
"""Under which services list the runs, unless their own variables say otherwise."""


class Logger(Protocol):
    """A service that is told of a run."""

    def write(self, record: Record) -> None:
        """Pass on one step's record."""
        ...

    def close(self) -> None:
        """The run ends, or is interrupted."""
        ...


def open_logger(log: Log, folder: Path, start_step: int, settings: Mapping[str, Any]) -> Logger:
    """The logger of that name; on ranks other than 0 one that does nothing.

    A run that is resumed goes on under the identity that it has in the run's file `log-id`.

    Args:
        log: which one; "none" does nothing.
        folder: of the run, after which it is named.
        start_step: where the run begins or is resumed.
        settings: of the run, shown beside its curves.

    Raises:
        ConfigError: its package is not installed, or it cannot begin.
    """
    require_logger(log)
    if log == "none" or rank() > 0:
        return _Nothing()
    match log:
        case "tensorboard":
            return _TensorBoard(folder, start_step)
        case "trackio":
            return _trackio(folder, start_step, settings)
        case "wandb":
            return _wandb(folder, start_step, settings)


def require_logger(log: Log) -> None:
    """Nothing, if what `open_logger` imports is there, or this is not rank 0.

    Raises:
        ConfigError: it is not installed.
    """
    if log == "none" or rank() > 0:
        return
    try:
        importlib.import_module("torch.utils.tensorboard" if log == "tensorboard" else log)
    except ImportError as error:
        raise ConfigError(
            f"--log {log} needs a package that is not installed ({first_line(error)}); "
            f"pip install 'mfd[{log}]', or leave it out"
        ) from error


class _Nothing:
    def write(self, record: Record) -> None: ...

    def close(self) -> None: ...


class _TensorBoard:
    """Files in the folder `tensorboard` of the run."""

    def __init__(self, folder: Path, start_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(folder / "tensorboard", purge_step=start_step + 1)

    def write(self, record: Record) -> None:
        for name, value in _values(record).items():
            self._writer.add_scalar(name, value, record["step"])

    def close(self) -> None:
        self._writer.close()


class _Service:
    """A run of Trackio or Weights & Biases, whose interfaces are alike."""

    def __init__(self, run: Any) -> None:
        self._run = run

    def write(self, record: Record) -> None:
        self._run.log(_values(record), step=int(record["step"]))

    def close(self) -> None:
        self._run.finish()


def _trackio(folder: Path, start_step: int, settings: Mapping[str, Any]) -> _Service:
    """Trackio's data base on this machine; its variables can name a Space."""
    import trackio

    name = f"{folder.name}-{_identity(folder, start_step)}"
    run = trackio.init(project=PROJECT, name=name, config=dict(settings), resume="allow")
    return _Service(run)


def _wandb(folder: Path, start_step: int, settings: Mapping[str, Any]) -> _Service:
    """Weights & Biases, by the account that `wandb login` made known; offline if it is told so."""
    import wandb

    try:
        run = wandb.init(
            project=PROJECT,
            name=folder.name,
            id=_identity(folder, start_step),
            resume="allow",
            dir=folder,
            config=dict(settings),
        )
    except wandb.Error as error:
        raise ConfigError(
            f"wandb cannot begin ({first_line(error)}); run `wandb login`, or set "
            "WANDB_MODE=offline"
        ) from error
    return _Service(run)


def _values(record: Record) -> Record:
    return {name: value for name, value in record.items() if name != "step"}


def _identity(folder: Path, start_step: int) -> str:
    """What a service knows the run by, so that one that is resumed goes on there."""
    file = folder / "log-id"
    if start_step == 0 or not file.exists():
        write_atomically(file, secrets.token_hex(4).encode())
    return file.read_text(encoding="ascii").strip()
