"""The training loop: a head, a source of batches, and the records of what happens."""

import signal
import time
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

import torch
from torch import nn

from mfd.distributed import from_first, rank, require_same, size, totals
from mfd.headtrain.config.precision import autocast_dtype
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.finetune.tuned import LR_FACTOR, MAX_GRAD_NORM, TunedDetector
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.runs.run import Run
from mfd.headtrain.sources.batch import TrainingBatch
from mfd.headtrain.sources.protocol import BatchSource
from mfd.headtrain.training.average import WeightAverage
from mfd.headtrain.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from mfd.headtrain.training.loggers import Logger, open_logger
from mfd.headtrain.training.metrics import MetricsLog, Record, read_metrics
from mfd.headtrain.training.passes import record_passes
from mfd.headtrain.training.step import TUNED_VALUE_NAMES, VALUE_NAMES, StepWindow, train_step
from mfd.headtrain.training.validation import Validation, Validator
from mfd.prefetch import awaited
from mfd.stopping import Stopped

Batches = Callable[[int, int], Generator[TrainingBatch | None, None, None]]
"""As `BatchSource.batches`."""


class TrainingLoop:
    """A head on its way through a source's batches, from its latest checkpoint on.

    It knows nothing of where batches come from: a store or a detector at work.

    Attributes:
        progress: how far the head has come.
        total: steps of all epochs.
        images: of all epochs.
        validator: what validation has found.
    """

    def __init__(
        self,
        run: Run,
        head: MaskHead,
        source: BatchSource,
        config: TrainConfig,
        validation: Validation | None = None,
    ) -> None:
        self._run, self._head, self._source, self._config = run, head, source, config
        self._device = next(head.parameters()).device
        self.total = config.epochs * source.steps_per_epoch
        self.images = config.epochs * source.images_per_epoch
        self._tuned = None if source.tuned is None else source.tuned.module
        self._optimizer = make_optimizer(head, config, source.tuned)
        self._average = WeightAverage(head, config.ema_decay) if config.ema_decay else None
        self._weights = nn.ModuleList([head, self._average]) if self._average else head
        saved = load_checkpoint(run.checkpoints, self._weights, self._optimizer, self._tuned)
        self.progress = saved or Progress()
        require_same("the step to resume from", self.progress.step)
        records = from_first(lambda: read_metrics(run.metrics_file, until=self.progress.step))
        steps_per_epoch = source.steps_per_epoch
        self.validator = Validator(
            validation, run, records, steps_per_epoch, config.patience, self._tuned
        )

    @property
    def trained(self) -> MaskHead:
        """The head that the training has led to so far: the average of the weights, if kept."""
        return self._average.head if self._average else self._head

    def steps(
        self, batches: Batches, stop_signal: Callable[[], int]
    ) -> Generator[tuple[int, str], None, Record]:
        """Take all steps that are left; yields, after each, its images and a note on the progress.

        Between two steps other work may be done: no time of it is counted.

        Args:
            batches: of the source's, those of steps from one number to another.
            stop_signal: the signal that asked to stop, 0 if none has.

        Returns:
            The last metrics.

        Raises:
            TrainingError: a loss was not finite; the latest checkpoint is from before.
            Stopped: after Ctrl-C, SIGTERM or SIGHUP, once a checkpoint is written.
        """
        config, total = self._config, self.total
        autocast = autocast_dtype(config, self._device)
        recorded = record_passes(self._head, config, autocast) if config.graphs else None
        names = VALUE_NAMES if self._tuned is None else TUNED_VALUE_NAMES
        window = StepWindow(config.batch_size, self._device, names)
        record: Record = {}
        self._head.train()
        with (
            closing(self._open_logger()) as logger,
            MetricsLog(self._run.metrics_file, self.progress.step, also=logger.write) as log,
            closing(batches(self.progress.step, total)) as read,
        ):
            yield from self._validate(log)  # a kill can have come between
            if self.validator.ends_early:
                return record
            logged, clock = self.progress, time.monotonic()
            saved = clock
            for batch, waited in awaited(read):
                moved = batch and batch.to(self._device, autocast or torch.float32)
                result = train_step(
                    self._head, self._optimizer, moved, config, self.progress.step, total, autocast,
                    recorded,
                )  # fmt: skip
                if self._average:
                    self._average.update(self._head)
                seconds, clock = time.monotonic() - clock, time.monotonic()
                late = clock - saved >= config.checkpoint_seconds
                taken, stop, late = self._everyones(batch, seconds, waited, stop_signal(), late)
                self.progress += taken
                step = self.progress.step
                window.add(step, moved, result)
                save = (
                    stop != 0
                    or step % config.checkpoint_every == 0
                    or step == total
                    or self.validator.is_due(step)
                    or late
                )
                if save or step % config.log_every == 0:
                    record = self._record(window.close(), logged)
                    logged = self.progress
                    log.write(record)
                if save:
                    self._save()
                    saved = time.monotonic()
                if stop:
                    raise self._stopped(stop)
                if (yield from self._validate(log)):
                    clock = saved = time.monotonic()
                del batch, moved  # their memory is free while other heads take this step
                paused = time.monotonic()
                yield taken.images, self._note(record)
                clock += time.monotonic() - paused
                if self.validator.ends_early:
                    break
        return record

    def _everyones(
        self, batch: TrainingBatch | None, seconds: float, waited: float, signum: int, late: bool
    ) -> tuple[Progress, int, bool]:
        """What all ranks say of a step, so that all do the same after it.

        Returns:
            The step, times being means over the ranks; the signal to stop by, or 0; whether a
            checkpoint is late.
        """
        own = (0, 0, 0.0)
        if batch is not None:
            own = (len(batch.image_names), batch.bytes_read, batch.detector_seconds)
        waited = max(0.0, waited - own[2])  # a detector in the loop makes the batches
        images, read, detector, waited, stops, saves = totals(*own, waited, signum > 0, late)
        taken = Progress(1, int(images), seconds, int(read), detector / size(), waited / size())
        stop = signum or (signal.SIGTERM if stops else 0)  # another rank's signal is as good
        return taken, stop, saves > 0

    def _open_logger(self) -> Logger:
        run = self._run
        return open_logger(self._config.log, run.path, self.progress.step, run.config.to_json())

    def _validate(self, log: MetricsLog) -> Generator[tuple[int, str], None, bool]:
        """Validate the head as it is saved, if that is due; whether it was."""
        step = self.progress.step
        if not self.validator.is_due(step):
            return False
        yield 0, f"{self._epoch()}, validating"
        try:
            self.validator.validate(self.trained, step, log)
        except Stopped as stop:
            raise self._stopped(stop.signum) from stop
        return True

    def _record(self, means: dict[str, float], since: Progress) -> Record:
        """One line of metrics about the steps since the last one."""
        now = self.progress
        rate = (now.images - since.images) / max(now.seconds - since.seconds, 1e-9)
        return {
            "step": now.step,
            "epoch": round(now.step / self._source.steps_per_epoch, 4),
            **means,
            "lr": self._config.learning_rate(now.step - 1, self.total),
            "images_per_second": round(rate, 2),
            "seconds": round(now.seconds, 3),
        }

    def _note(self, record: Record) -> str:
        """What is shown behind the rate."""
        best = self.validator.best
        loss = f"loss {record['loss']:.3f}" if record else ""
        mask_ap = f"best val mask AP {best[1]:.3f}" if best else ""
        return ", ".join(part for part in (self._epoch(), loss, mask_ap) if part)

    def _epoch(self) -> str:
        number = -(-self.progress.step // self._source.steps_per_epoch)
        return f"epoch {number}/{self._config.epochs}"

    def _stopped(self, signum: int) -> Stopped:
        return Stopped(
            f"stopped after step {self.progress.step} of {self.total}; the same command with "
            "--resume resumes from there",
            signum,
        )

    def _save(self) -> None:
        if rank() > 0:
            return
        save_checkpoint(
            self._run.checkpoints, self.progress, self._weights, self._optimizer, self._tuned
        )


def make_optimizer(
    head: MaskHead, config: TrainConfig, tuned: TunedDetector | None = None
) -> torch.optim.Optimizer:
    """AdamW over all parameters, each of them decayed; those of the detector at lr / 10."""
    groups: list[dict[str, Any]] = [{"params": list(head.parameters())}]
    if config.offsets_lr_factor != 1:
        named = list(head.named_parameters())
        offsets = [parameter for name, parameter in named if "sampling_offsets" in name]
        others = [parameter for name, parameter in named if "sampling_offsets" not in name]
        groups = [
            {"params": others},
            {"params": offsets, "lr_factor": config.offsets_lr_factor},
        ]
    if tuned is not None:
        scaled = {"lr_factor": LR_FACTOR, "max_grad_norm": MAX_GRAD_NORM}
        groups.append({"params": list(tuned.parameters()), **scaled})
    return torch.optim.AdamW(
        groups,
        lr=config.lr,
        betas=(config.beta1, config.beta2),
        weight_decay=config.weight_decay,
        fused=True,
    )
