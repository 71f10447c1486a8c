"""Training a mask head on a source of batches, into a run."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch

from mfd.config import DetectorChoice
from mfd.distributed import first_alone, from_first, rank, size
from mfd.errors import ConfigError, TrainingError
from mfd.files import disk_errors
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.runs.binding import check_binding
from mfd.headtrain.runs.config import RunConfig, anywhere
from mfd.headtrain.runs.run import Run
from mfd.headtrain.sources.protocol import BatchSource
from mfd.headtrain.training.box_ap import box_ap_change, note_first_box_ap
from mfd.headtrain.training.checkpoint import Progress
from mfd.headtrain.training.loop import TrainingLoop
from mfd.headtrain.training.metrics import Record
from mfd.headtrain.training.validation import Validation


@dataclass(frozen=True)
class TrainSummary:
    """What a finished run amounts to.

    Attributes:
        metrics: of the last logged steps; empty if the run was finished before.
    """

    run: Run
    progress: Progress
    metrics: Record


def train(
    head: HeadConfig,
    config: TrainConfig,
    source: BatchSource,
    run: Run,
    *,
    detector: DetectorChoice | None = None,
    preset: str | None = None,
    device: torch.device | str = "cpu",
    resume: bool = False,
    validation: Validation | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> TrainSummary:
    """A trained head in the run, with the record of its training.

    The run's folder receives `config.json` before the first step, `metrics.jsonl`, `checkpoints/`
    and `cost.json` on the way, and `head.safetensors` at the end. With a validation its metrics
    have mask AP after every epoch, and the folder `best` in it is the head with the best one. A
    detector that is trained too comes as `detector.safetensors`, its box AP before and after is
    said.

    Within `mfd.distributed.joined`, all ranks call this with the same arguments and train one head:
    each takes its share of every batch, rank 0 writes.

    Args:
        source: of batches for this head and recipe.
        detector: how the detector is loaded again, for the record; None: what the source says.
        preset: the head's name, for the record.
        resume: continue from the run's latest checkpoint, or from the start if it has none; the
            weights become those of an uninterrupted run, to the bit on a CPU with the same number
            of threads.
        validation: what mask AP is measured on after every epoch; it changes no weight, but for
            `patience`.
        say: is told, line by line, where a run is resumed and which head was the best.

    Raises:
        DetectorError: the validation is of another detector.
        ConfigError: the head has nothing to train or does not fit the detector, or `patience` is
            set without a validation.
        TrainingError: the run is another one, another process trains it, a loss is not finite, or
            the disk is full.
        DistributedError: another rank has ended.
        Stopped: after Ctrl-C, SIGTERM or SIGHUP, when a checkpoint is written; its text says how
            to resume.
    """
    device = torch.device(device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        model = MaskHead(head, source.spec)
    if not head.roi_align or not any(p.requires_grad for p in model.parameters()):
        raise ConfigError(
            "this head has no trainable parameters; run `mfd evaluate` on it directly"
        )
    if config.patience and validation is None:
        raise ConfigError(
            f"patience is {config.patience}, but there is nothing to validate on; run `mfd extract "
            "--split val` and give --val, or leave patience out"
        )
    if validation is not None:
        check_binding(source.spec, validation.spec)
    description = RunConfig(
        head=head,
        spec=source.spec,
        detector=anywhere(detector or source.detector),
        categories=dict(source.categories),
        train=config,
        preset=preset,
        source=source.describe(),
        validation={} if validation is None else validation.describe(),
    )
    first = rank() == 0
    if config.batch_size < size():
        raise ConfigError(
            f"{size()} processes share batches of {config.batch_size} images; start at most "
            f"{config.batch_size}, or give a larger --set batch_size=..."
        )
    cure = f"resume it by {_resumed(run)}"
    with run.lock() if first else nullcontext(), disk_errors(run.path, cure, TrainingError):
        with disk_errors(run.path, "rerun the command", TrainingError), first_alone():
            run.begin(description, resume=resume or not first)
        if from_first(lambda: run.finished):
            return TrainSummary(run, Progress.from_cost(run.cost()), {})
        loop = TrainingLoop(run, model.to(device), source, config, validation)
        if source.tuned is not None and validation is not None and loop.progress.step == 0:
            note_first_box_ap(run, validation)
        if resume:
            say(f"resuming after step {loop.progress.step} of {loop.total}")
        try:
            metrics = loop.run()
        finally:
            if first:
                run.write_cost({**source.cost(), "training": loop.progress.to_cost()})
        if first:
            run.save_head(loop.trained, None if source.tuned is None else source.tuned.module)
    if source.tuned is not None:
        say(box_ap_change(run))
    if (best := loop.validator.best) is not None:
        epoch, mask_ap = best
        say(f"best: {run.best.path}, val mask AP {mask_ap:.3f} after epoch {epoch}")
    return TrainSummary(run, loop.progress, metrics)


def _resumed(run: Run) -> str:
    """The command that resumes a run."""
    return f"`mfd train-head --resume --run {run.name}`"
