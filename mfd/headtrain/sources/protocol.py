"""What training asks of a source of batches: a store, or a detector at work."""

from collections.abc import Generator, Mapping
from typing import Any, Protocol

from mfd.config import DetectorChoice
from mfd.detectors import DetectorSpec
from mfd.headtrain.finetune.tuned import TunedDetector
from mfd.headtrain.sources.batch import TrainingBatch


class BatchSource(Protocol):
    """Training batches in an order that depends on nothing but the source's own seed."""

    @property
    def spec(self) -> DetectorSpec:
        """Of the detector whose features the batches hold."""
        ...

    @property
    def detector(self) -> DetectorChoice:
        """How that detector is loaded again, as far as the source knows."""
        ...

    @property
    def categories(self) -> Mapping[int, str]:
        """Name of each category id."""
        ...

    @property
    def tuned(self) -> TunedDetector | None:
        """The detector, if it is trained beside the head; then batches bring its loss."""
        ...

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch."""
        ...

    @property
    def images_per_epoch(self) -> int:
        """Images of an epoch."""
        ...

    def batches(self, start: int, stop: int) -> Generator[TrainingBatch | None, None, None]:
        """The batches of steps `start` to `stop`, counted from 0 over all epochs.

        Of several ranks, each gets its share of a batch's images; None where it has none. Closing
        it ends all work on later batches.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Everything about the data that determines the weights, as plain JSON values.

        Entries named "path", at any depth, say where the data was and determine nothing.
        """
        ...

    def cost(self) -> dict[str, Any]:
        """What each stage before training took: seconds, bytes, images, device, as JSON values."""
        ...
