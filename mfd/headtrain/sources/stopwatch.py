"""How long a device worked on something, without waiting for it when the work begins."""

import time

import torch


class Stopwatch:
    """Times the block that it is the context of: on the CPU by the clock, on a GPU by its events.

    A GPU still has earlier work to do when the block begins; that does not count.
    """

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"

    def __enter__(self) -> "Stopwatch":
        if self._on_gpu:
            self._events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
            self._events[0].record()
        self._started = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        if self._on_gpu:
            self._events[1].record()
        self._stopped = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Of the block; waits for the device to have done it."""
        if not self._on_gpu:
            return self._stopped - self._started
        started, stopped = self._events
        stopped.synchronize()
        return started.elapsed_time(stopped) / 1000  # it gives milliseconds
