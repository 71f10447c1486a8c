"""Forward and backward pass of a step as CUDA graphs: recorded once per shape, launched as one.

A step of the paper's head has some 1,400 launches; on a fast GPU they take longer than the work. A
graph repeats them on the same memory, for the same sizes: hence `RoundedBatches`.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from mfd.headtrain.sources.batch import TrainingBatch
from mfd.headtrain.training.rounded import RoundedBatches

MAX_RECORDED = 128
"""Shapes that are kept, the latest ones: about as many as an epoch of COCO has. [ours]"""

Losses = Callable[[TrainingBatch], tuple[Float[Tensor, " N"], Float[Tensor, "4 N"]]]


class Recorder(Protocol):
    """Records what a function launches."""

    def record(self, function: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """A function that launches it all again, on the same memory, and gives the same tensor.

        Nothing is computed yet.
        """
        ...


class CudaGraphs:
    """Records CUDA graphs, which share their memory: none runs beside another."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        with torch.cuda.device(device):
            self._stream, self._pool = torch.cuda.Stream(), torch.cuda.graph_pool_handle()
        # a pool ends with its last graph and cannot be used again
        self._keeper = self.record(lambda: torch.zeros((), device=device))

    def record(self, function: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """See `Recorder`."""
        graph = torch.cuda.CUDAGraph()
        recording = torch.cuda.graph(
            graph,
            pool=self._pool,
            stream=self._stream,
            capture_error_mode="thread_local",  # threads that read ahead may call CUDA
        )
        with torch.cuda.device(self._device), recording:
            out = function()

        def replay() -> Tensor:
            graph.replay()
            return out

        return replay


class RecordedPasses:
    """The passes of one head, recorded when their shape comes for the second time.

    Gradients are added to where they lie, so they must not move between steps: clear them by
    `zero_grad(set_to_none=False)`.

    Attributes:
        recorded: how often a shape was recorded.

    Args:
        losses_of: the weighted loss of every box of a batch, to go back from, and the values that
            are told. It must wait for nothing.
        rounded: where batches are put.
    """

    def __init__(self, losses_of: Losses, rounded: RoundedBatches, recorder: Recorder) -> None:
        self._losses_of, self._rounded, self._recorder = losses_of, rounded, recorder
        self._divisor: Tensor | None = None
        self._passes: OrderedDict[tuple[torch.Size, ...], Callable[[], Tensor] | None]
        self._passes = OrderedDict()
        self._moved = 0
        self.recorded = 0

    def __call__(self, part: TrainingBatch, boxes: int) -> Float[Tensor, "4 N"]:
        """The values of every box; gradients of the sum of the losses / `boxes` are added.

        Args:
            part: with one box at least.
        """
        batch = self._rounded.put(part)
        if self._divisor is None:
            self._divisor = torch.empty((), device=part.crops.device)
        divisor = self._divisor.fill_(boxes)
        if self._rounded.moved != self._moved:  # what was recorded reads the old memory
            self._passes.clear()
            self._moved = self._rounded.moved
        shape = tuple(
            maps.shape
            for maps in (batch.crops, batch.features.c1, *batch.features.memory)
            if maps is not None
        )
        passes = self._passes.get(shape)
        if passes is None and shape in self._passes:
            passes = self._recorder.record(lambda: self._take(batch, divisor))
            self.recorded += 1
        values = passes() if passes is not None else self._take(batch, divisor)
        self._passes[shape] = passes
        self._passes.move_to_end(shape)
        if len(self._passes) > MAX_RECORDED:
            self._passes.popitem(last=False)
        return values[:, : len(part.crops)].clone()

    def _take(self, batch: TrainingBatch, divisor: Tensor) -> Float[Tensor, "4 N"]:
        losses, values = self._losses_of(batch)
        filler = batch.features.filler
        assert filler is not None
        (losses.masked_fill(filler, 0).sum() / divisor).backward()
        return values
