"""A training run, or a head without one, as a folder.

config.json         what was trained, on what, by which recipe; written first
metrics.jsonl       one line per logged step, one per validated epoch
checkpoints/        the last two
best/               the head with the best mask AP on the way, as a folder like this one
cost.json           seconds and bytes of every stage
detector.safetensors  the detector, if it was trained too
head.safetensors    the trained head; a folder that has it is finished
evaluations/        SPLIT-STORE/evaluation.json and the results behind it, see `evaluations`
"""

from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mfd.detectors import Detector, DetectorSpec
from mfd.errors import ConfigError, TrainingError
from mfd.files import write_json
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.runs.config import RunConfig, read_config, read_object
from mfd.headtrain.runs.detector import DETECTOR_FILE, trained_detector, trained_spec
from mfd.headtrain.runs.names import (
    CONFIG_FILE,
    LOCK_FILE,
    WEIGHTS_FILE,
    new_run_dir,
    run_dir,
    run_dirs,
)
from mfd.headtrain.runs.weights import read_weights, write_weights
from mfd.locks import exclusive_lock
from mfd.text import first_line


class Run:
    """A run's folder; nothing in it is read before it is asked for.

    Attributes:
        path: the folder; it may not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @classmethod
    def new(cls, runs: Path, name: str | None, stem: str) -> "Run":
        """A run that is yet to begin: of this name, or of the first free number after `stem`.

        A folder that holds only what a run leaves when it is killed before its first step is free.

        Raises:
            ConfigError: the name is not one, or its folder holds a run or something else.
        """
        return cls(new_run_dir(runs, name, stem))

    @classmethod
    def open(cls, folder: Path | str) -> "Run":
        """The run or head in a folder.

        Raises:
            ConfigError: there is none, or its `config.json` cannot be used.
        """
        run = cls(Path(folder))
        _ = run.config
        return run

    @classmethod
    def find(cls, runs: Path, name: str | Path | None) -> "Run":
        """A run by its name under `runs` or the path of its folder; None: the latest finished one.

        Raises:
            ConfigError: there is none, or its `config.json` cannot be used.
        """
        if name is None:
            return cls._latest(runs, finished=True)
        for folder in (runs / name, Path(name)):
            if (folder / CONFIG_FILE).exists():
                return cls.open(folder)
        raise ConfigError(f"there is no run {str(name)!r} here or under {runs}")

    @classmethod
    def resume(cls, runs: Path, name: str | None) -> "Run":
        """The existing run of this name; None: the latest unfinished one.

        Raises:
            ConfigError: there is none, or its `config.json` cannot be used.
        """
        if name is None:
            return cls._latest(runs, finished=False)
        if not (run := cls(run_dir(runs, name))).begun:
            raise ConfigError(f"there is no run {run.path} to resume; start it without --resume")
        return cls.open(run.path)

    @classmethod
    def _latest(cls, runs: Path, *, finished: bool) -> "Run":
        unfinished, faults = None, []
        for run in map(cls, reversed(run_dirs(runs))):
            try:
                _ = run.config
            except ConfigError as error:  # one damaged run does not hide the others
                faults.append(str(error))
                continue
            if run.finished == finished:
                return run
            unfinished = unfinished or run
        if not finished:
            cure = "start one without --resume"
        elif unfinished:
            cure = f"resume {unfinished.path} by `mfd train-head --resume`"
        else:
            cure = "run `mfd train-head`"
        kind = "finished" if finished else "unfinished"
        raise ConfigError("; ".join([f"there is no {kind} run under {runs}", *faults, cure]))

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def begun(self) -> bool:
        """Whether anything is there to be resumed."""
        return (self.path / CONFIG_FILE).exists()

    @property
    def finished(self) -> bool:
        """Whether the head is there, which is written last."""
        return (self.path / WEIGHTS_FILE).exists()

    @cached_property
    def config(self) -> RunConfig:
        """What was trained, on what, by which recipe.

        Raises:
            ConfigError: `config.json` is missing, damaged, or of a newer mfd.
        """
        return read_config(self.path / CONFIG_FILE)

    @property
    def detector_file(self) -> Path:
        """The weights of the detector that was trained along; absent if it stayed frozen."""
        return self.path / DETECTOR_FILE

    @property
    def spec(self) -> DetectorSpec:
        """Of the detector that the head was trained for, whose weights the run may have trained."""
        return trained_spec(self.detector_file, self.config.spec)

    def own_detector(self, detector: Detector) -> Detector:
        """The detector with the weights that the run trained; as it is if it stayed frozen.

        Raises:
            DetectorError: it is not the one that the run began with.
            ConfigError: its weights in the run are damaged.
        """
        return trained_detector(self.detector_file, self.config.spec, detector)

    @property
    def metrics_file(self) -> Path:
        """One line of JSON per logged step, see `read_metrics`."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    def lock(self) -> AbstractContextManager[None]:
        """A context in which no other process trains this run.

        Raises:
            TrainingError: another process trains it now.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        busy = TrainingError(
            f"{self.path} is being trained by another process; wait for it, stop it, or choose "
            "another --run"
        )
        return exclusive_lock(self.path / LOCK_FILE, busy)

    def begin(self, config: RunConfig, *, resume: bool) -> None:
        """Write `config.json`, or make sure that the run already there is this one.

        Raises:
            TrainingError: the folder holds another run, or a run and `resume` is not set.
            ConfigError: the run already there cannot be read.
        """
        if not self.begun:
            self.path.mkdir(parents=True, exist_ok=True)
            write_json(self.path / CONFIG_FILE, config.to_json())
        elif not resume:
            raise TrainingError(
                f"{self.path} already holds a run; resume it by --resume, or choose another name"
            )
        elif found := self.config.difference(config):
            raise TrainingError(
                f"{self.path} cannot be resumed: {found}; use the settings it was started with, "
                "or choose another --run"
            )

    def save_head(self, head: MaskHead, detector: nn.Module | None = None) -> None:
        """Write the head's weights, which finishes the run; before them those of a detector."""
        if detector is not None:
            write_weights(self.detector_file, detector.state_dict())
        write_weights(self.path / WEIGHTS_FILE, head.state_dict())

    @property
    def best(self) -> "Run":
        """The head with the best validated mask AP; absent without validation."""
        return Run(self.path / "best")

    def keep_best(self, head: MaskHead, detector: nn.Module | None = None) -> None:
        """Put the head in the place of the best one so far, and its detector if that is trained."""
        self.best.begin(self.config, resume=True)
        self.best.save_head(head, detector)

    def load_head(self, device: torch.device | str = "cpu") -> MaskHead:
        """The trained head, in evaluation mode.

        Raises:
            ConfigError: the run is unfinished, or its two files do not belong together.
        """
        if not self.finished and self.best.finished:
            raise ConfigError(
                f"{self.path} is unfinished; take {self.best.path}, its best head so far, or "
                f"finish its training by `mfd train-head --resume --run {self.name}`"
            )
        weights = read_weights(self.path / WEIGHTS_FILE)
        try:
            head = MaskHead(self.config.head, self.spec)
            head.load_state_dict(weights)
        except ConfigError as error:
            raise ConfigError(f"{self.path / CONFIG_FILE}: {error}") from error
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
            fault = first_line(error).removesuffix(":")
            if isinstance(error, RuntimeError) and len(lines := str(error).splitlines()) > 1:
                fault = lines[1].strip()
            raise ConfigError(
                f"{self.path / WEIGHTS_FILE} does not fit the head of {CONFIG_FILE}: {fault}; "
                "the two files must be of one training"
            ) from error
        return head.to(device).eval()

    def cost(self) -> dict[str, Any]:
        """Seconds and bytes of every stage; empty before the first step.

        Raises:
            ConfigError: `cost.json` is damaged.
        """
        path = self.path / "cost.json"
        return read_object(path) if path.exists() else {}

    def write_cost(self, cost: dict[str, Any]) -> None:
        """Put the ledger of all stages into `cost.json`."""
        write_json(self.path / "cost.json", cost)
