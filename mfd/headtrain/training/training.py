"""One head's training: begun in its run, taken step by step, its head saved at the end."""

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from mfd.coco import ANY_CATEGORY
from mfd.config import DetectorChoice
from mfd.distributed import first_alone, from_first, rank
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
from mfd.headtrain.training.checks import require_trainable
from mfd.headtrain.training.loop import Batches, TrainingLoop
from mfd.headtrain.training.metrics import Record
from mfd.headtrain.training.validation import Validation

Say = Callable[[str], object]


class Training:
    """A head that is to be trained on a source of batches, into a run.

    Attributes:
        source, run: as given.
        device: where the head is.
        parameters: how many of the head's are trained.
        loop: while it is begun; None if its run was finished before.

    Args and errors, but those of the disk and of the training itself: as for `train`.
    """

    def __init__(
        self,
        head: HeadConfig,
        config: TrainConfig,
        source: BatchSource,
        run: Run,
        *,
        detector: DetectorChoice | None = None,
        preset: str | None = None,
        device: torch.device | str = "cpu",
        validation: Validation | None = None,
    ) -> None:
        self.source, self.run, self.device = source, run, torch.device(device)
        self._config, self._validation = config, validation
        validated = validation is not None
        require_trainable(head, config, source.spec, self.device, validated=validated)
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(config.seed)
            self._model = MaskHead(head, source.spec)
        self.parameters = sum(p.numel() for p in self._model.parameters() if p.requires_grad)
        if head.class_agnostic != (ANY_CATEGORY in source.categories):
            found = "with" if head.class_agnostic else "without"
            raise ConfigError(
                f"class_agnostic is {str(head.class_agnostic).lower()} and the annotations are "
                f"{found} categories; change it, or see `CocoDataset.without_categories`"
            )
        if validation is not None:
            check_binding(source.spec, validation.spec)
        self._description = RunConfig(
            head=head,
            spec=source.spec,
            detector=anywhere(detector or source.detector),
            categories=dict(source.categories),
            train=config,
            preset=preset,
            source=source.describe(),
            validation={} if validation is None else validation.describe(),
        )
        self.loop: TrainingLoop | None = None

    @contextmanager
    def begun(self, *, resume: bool, say: Say) -> Iterator[TrainingLoop | None]:
        """A context in which the head can be trained from its latest checkpoint on.

        Nothing is left to do where it gives None: the run was finished before.
        """
        run, first = self.run, rank() == 0
        with run.lock() if first else nullcontext(), self._disk_errors():
            with disk_errors(run.path, "rerun the command", TrainingError), first_alone():
                run.begin(self._description, resume=resume or not first)
            if from_first(lambda: run.finished):
                yield None
                return
            model, source, validation = self._model.to(self.device), self.source, self._validation
            self.loop = loop = TrainingLoop(run, model, source, self._config, validation)
            if source.tuned is not None and validation is not None and loop.progress.step == 0:
                note_first_box_ap(run, validation)
            if resume:
                say(f"resuming after step {loop.progress.step} of {loop.total}")
            try:
                yield loop
            finally:
                if first:
                    run.write_cost({**source.cost(), "training": loop.progress.to_cost()})

    def steps(
        self, batches: Batches, stop_signal: Callable[[], int]
    ) -> Generator[tuple[int, str], None, Record]:
        """As `TrainingLoop.steps`; then the head is saved, which finishes the run."""
        assert self.loop is not None
        with self._disk_errors():
            record = yield from self.loop.steps(batches, stop_signal)
            if rank() == 0:
                tuned = self.source.tuned
                self.run.save_head(self.loop.trained, None if tuned is None else tuned.module)
        return record

    def conclude(self, say: Say) -> None:
        """Say what has come of it."""
        assert self.loop is not None
        if self.source.tuned is not None:
            say(box_ap_change(self.run))
        if (best := self.loop.validator.best) is not None:
            epoch, mask_ap = best
            say(f"best: {self.run.best.path}, val mask AP {mask_ap:.3f} after epoch {epoch}")

    def _disk_errors(self) -> AbstractContextManager[None]:
        cure = f"resume it by `mfd train-head --resume --run {self.run.name}`"
        return disk_errors(self.run.path, cure, TrainingError)
