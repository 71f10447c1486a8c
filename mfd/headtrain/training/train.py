"""Training a mask head on a source of batches, into a run."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from mfd.config import DetectorChoice
from mfd.errors import TrainingError
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.runs.run import Run
from mfd.headtrain.sources.protocol import BatchSource
from mfd.headtrain.training.checkpoint import Progress
from mfd.headtrain.training.metrics import Record
from mfd.headtrain.training.training import Training
from mfd.headtrain.training.turns import take_turns
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
        ConfigError: the head has nothing to train, does not fit the detector or the annotations'
            categories, or `patience` is set without a validation.
        TrainingError: the run is another one, another process trains it, a loss is not finite, or
            the disk is full.
        DistributedError: another rank has ended.
        Stopped: after Ctrl-C, SIGTERM or SIGHUP, when a checkpoint is written; its text says how
            to resume.
    """
    training = Training(
        head,
        config,
        source,
        run,
        detector=detector,
        preset=preset,
        device=device,
        validation=validation,
    )
    with training.begun(resume=resume, say=say) as loop:
        if loop is None:
            return TrainSummary(run, Progress.from_cost(run.cost()), {})
        (end,) = take_turns([training], [source.batches])
    if isinstance(end, TrainingError):
        raise end
    training.conclude(say)
    return TrainSummary(run, loop.progress, end)
