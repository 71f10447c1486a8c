"""Weights, optimizer and position of a run, in one file that is whole or absent."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from mfd.errors import TrainingError
from mfd.files import write_atomically
from mfd.text import first_line

KEPT = 2


@dataclass(frozen=True)
class Position:
    """How far a run has come.

    Args:
        step: optimisation steps done.
        images: seen, counted once per epoch.
        seconds: of training, pauses left out.
        bytes_read: from the store.
    """

    step: int = 0
    images: int = 0
    seconds: float = 0.0
    bytes_read: int = 0

    def after(self, images: int, seconds: float, bytes_read: int) -> "Position":
        """One step further."""
        return Position(
            self.step + 1,
            self.images + images,
            self.seconds + seconds,
            self.bytes_read + bytes_read,
        )


def save_checkpoint(
    folder: Path, position: Position, head: nn.Module, optimizer: torch.optim.Optimizer
) -> Path:
    """Where the checkpoint is now, the latest `KEPT` of the run being left.

    Nothing random is saved: order and points of a step follow from the seed and the step.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [name for name, _ in head.named_parameters()]
    tensors = {f"head.{name}": value for name, value in head.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        for moment, value in moments.items():
            tensors[f"optimizer.{moment}.{names[index]}"] = value
    path = folder / f"step-{position.step:08d}.safetensors"
    write_weights(path, tensors, {"position": json.dumps(vars(position))})
    for old in _checkpoints(folder)[:-KEPT]:
        old.unlink()
    return path


def load_checkpoint(
    folder: Path, head: nn.Module, optimizer: torch.optim.Optimizer
) -> Position | None:
    """The position of the run's latest checkpoint, now in `head` and `optimizer`; None without.

    `optimizer` must have been made from `head.parameters()` in their order.

    Raises:
        TrainingError: the file is damaged or belongs to another head.
    """
    if not (paths := _checkpoints(folder)):
        return None
    path = paths[-1]
    try:
        with safe_open(path, "pt") as file:
            position = Position(**json.loads(file.metadata()["position"]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        head.load_state_dict(_below("head.", tensors))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise TrainingError(
            f"{path} cannot be loaded ({first_line(error)}); remove it to go on from the one before"
        ) from error
    states: dict[int, dict[str, Tensor]] = {}
    for index, (name, _) in enumerate(head.named_parameters()):
        moments = {
            moment: tensors[key]
            for moment in ("step", "exp_avg", "exp_avg_sq")
            if (key := f"optimizer.{moment}.{name}") in tensors
        }
        if moments:
            states[index] = moments
    groups: list[dict[str, Any]] = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": states, "param_groups": groups})
    return position


def write_weights(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Put tensors into a safetensors file, atomically."""
    on_cpu = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_atomically(path, save(on_cpu, metadata))


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.safetensors"))


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
