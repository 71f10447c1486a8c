"""Weights, optimizer and progress of a run, in one file that is whole or absent."""

import io
import operator
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mfd.errors import UNPICKLING_ERRORS, TrainingError
from mfd.files import write_atomically
from mfd.placeholders import refuse_placeholder
from mfd.text import first_line

KEPT = 2


@dataclass(frozen=True)
class Progress:
    """How far a run has come.

    Args:
        step: optimisation steps done.
        images: seen, counted once per epoch.
        seconds: of training, pauses left out.
        bytes_read: by the batch source.
        detector_seconds: how many of the seconds a detector in the loop took.
        waiting_seconds: how many of them went by before the next batch was there; a GPU may have
            been busy with earlier steps meanwhile.
    """

    step: int = 0
    images: int = 0
    seconds: float = 0.0
    bytes_read: int = 0
    detector_seconds: float = 0.0
    waiting_seconds: float = 0.0

    def __add__(self, other: "Progress") -> "Progress":
        return Progress(*map(operator.add, astuple(self), astuple(other)))

    def to_cost(self) -> dict[str, Any]:
        """The entry of training in a run's ledger."""
        cost = {
            "seconds": round(self.seconds, 3),
            "bytes": self.bytes_read,
            "images": self.images,
            "steps": self.step,
            "waiting_seconds": round(self.waiting_seconds, 3),
        }
        if self.detector_seconds:
            cost["detector_seconds"] = round(self.detector_seconds, 3)
            cost["head_seconds"] = round(self.seconds - self.detector_seconds, 3)
        return cost

    @classmethod
    def from_cost(cls, cost: Mapping[str, Any]) -> "Progress":
        """The progress that a run's ledger tells of; none if it tells of no training."""
        found = cost.get("training")
        entry = found if isinstance(found, Mapping) else {}
        names = {"step": "steps", "images": "images", "seconds": "seconds", "bytes_read": "bytes"}
        names |= {name: name for name in ("detector_seconds", "waiting_seconds")}
        return cls(
            **{
                field: entry[name]
                for field, name in names.items()
                if type(entry.get(name)) in (int, float)
            }
        )


def save_checkpoint(
    folder: Path,
    progress: Progress,
    head: nn.Module,
    optimizer: torch.optim.Optimizer,
    detector: nn.Module | None = None,
) -> Path:
    """Where the checkpoint is now; of the run's others only the latest stay, `KEPT` in all.

    Nothing random is saved: order and points of a step follow from the seed and the step.

    Args:
        detector: that is trained too; None if it is frozen.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    state = {"head": head.state_dict(), "optimizer": optimizer.state_dict()}
    if detector is not None:
        state["detector"] = detector.state_dict()
    torch.save({"progress": asdict(progress), **state}, content)
    path = folder / f"step-{progress.step:08d}.pt"
    write_atomically(path, content.getvalue())
    for old in _checkpoints(folder)[:-KEPT]:
        old.unlink()
    return path


def load_checkpoint(
    folder: Path,
    head: nn.Module,
    optimizer: torch.optim.Optimizer,
    detector: nn.Module | None = None,
) -> Progress | None:
    """The progress of the run's latest checkpoint, None without; the rest of it is put in place.

    `optimizer` must have been made as the saved one was. No code in the file is run.

    Raises:
        TrainingError: the file is damaged, of another head or optimizer, or of mfd 0.1.
    """
    if not (paths := _checkpoints(folder)):
        if old := sorted(folder.glob("step-*.safetensors")):
            raise TrainingError(
                f"{old[-1]} is a checkpoint of an earlier mfd, which this one cannot resume; "
                "start the run again under another --run"
            )
        return None
    path = paths[-1]
    try:
        with zipfile.ZipFile(path) as archive:  # torch writes checksums, but does not compare them
            if (damaged := archive.testzip()) is not None:
                raise ValueError(f"{damaged} does not have its checksum")
        saved = torch.load(path, map_location="cpu", weights_only=True)
        progress = Progress(**saved["progress"])
        head.load_state_dict(saved["head"])
        optimizer.load_state_dict(saved["optimizer"])
        if detector is not None:
            detector.load_state_dict(saved["detector"])
    except UNPICKLING_ERRORS as error:
        with suppress(OSError):
            refuse_placeholder(path, "a checkpoint", TrainingError)
        raise TrainingError(
            f"{path} cannot be loaded ({first_line(error)}); delete it to resume from the one "
            "before"
        ) from error
    return progress


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.pt"))
