"""One pass over a store for several heads: what they train on is read once for all of them."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

import torch

from mfd.headtrain.sources.batch import TrainingBatch
from mfd.headtrain.sources.stored import Member, StoredSource
from mfd.prefetch import prefetch

_Batches = dict[int, TrainingBatch]
"""A step's batch for each head, by its number."""


class SharedReading:
    """The batches of several sources that read alike, each read from disk once.

    Heads may differ in everything but the images of a step. The maps of these are put on the device
    once, with C1 where a `lite` store leaves it out; every head has its own boxes on them, and its
    own crops.

    It is quickest when all take a step before one takes the next; any other order is as right.

    Args:
        sources: see `StoredSource.reads_like`.
        device: where the heads are.
    """

    def __init__(self, sources: Sequence[StoredSource], device: torch.device | str) -> None:
        self._sources, self._device = sources, device
        configs = [source.config for source in sources]
        self._stop = sources[0].steps_per_epoch * max(config.epochs for config in configs)
        self._workers = max(config.readers for config in configs)
        self._ahead = max(config.prefetch for config in configs)
        self._with_maps = next((n for n, s in enumerate(sources) if s.head.use_c1), 0)
        self._taking = set(range(len(sources)))
        self._stream: Generator[_Batches, None, None] | None = None
        self._step, self._bytes_read = -1, 0
        self._batches: _Batches | None = None

    def batches(
        self, number: int
    ) -> Callable[[int, int], Generator[TrainingBatch | None, None, None]]:
        """What `batches` of the source of this number gives, on the device.

        What a batch took to read counts for whoever asks for it first.
        """

        def taken(start: int, stop: int) -> Generator[TrainingBatch | None, None, None]:
            try:
                for step in range(start, stop):
                    yield self._of(number, step)
            finally:
                self._taking.discard(number)
                if not self._taking:
                    self.close()

        return taken

    def close(self) -> None:
        """End all work on later batches."""
        self._batches = None
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _of(self, number: int, step: int) -> TrainingBatch | None:
        if step != self._step:
            self._go_to(step)
        if self._batches is None:  # other ranks have it all
            return None
        read, self._bytes_read = self._bytes_read, 0
        return replace(self._batches[number], bytes_read=read)

    def _go_to(self, step: int) -> None:
        """Make the batches of this step those at hand."""
        if self._stream is None or step != self._step + 1:
            self.close()
            steps = self._sources[self._with_maps].members(step, self._stop)
            self._stream = prefetch(self._load, steps, self._workers, self._ahead)
        self._batches = None  # makes room
        found = {n: batch.to(self._device) for n, batch in next(self._stream).items()}
        self._step = step
        if found:
            whole = found[self._with_maps]
            self._bytes_read = whole.bytes_read
            self._batches = {n: batch.on_maps_of(whole) for n, batch in found.items()}

    def _load(self, numbered: tuple[int, list[Member]]) -> _Batches:
        """The batch of one head with its maps, those of the others without."""
        step, members = numbered
        if not members:
            return {}
        source = self._sources[self._with_maps]
        read = source.read(members)
        found = {self._with_maps: source.made_of(read, step)}
        boxes = replace(read, images=[image.without_maps() for image in read.images])
        for number in self._taking - {self._with_maps}:
            found[number] = self._sources[number].made_of(boxes, step)
        return {n: b.pin_memory() for n, b in found.items()} if source.pin_memory else found
