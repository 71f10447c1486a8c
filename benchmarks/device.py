"""The device that is timed, and one that only pretends: every line runs, its times mean nothing."""

import re
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from mfd.headtrain.training.recorded import CudaGraphs, Recorder


class Gpu:
    """The first NVIDIA device."""

    name = "cuda"
    autocast = torch.bfloat16
    compiler = "inductor"
    activity, events = ProfilerActivity.CUDA, DeviceType.CUDA
    launching = re.compile("cu(da)?(Launch|GraphLaunch|Memcpy|Memset)")
    small = False

    def synchronize(self) -> None:
        torch.cuda.synchronize()

    def clear(self) -> None:
        """Frees what the allocator keeps."""
        torch.cuda.empty_cache()

    def clock(self, call: Callable[[], Any]) -> dict[str, float]:
        """Median, 20th and 80th percentile in milliseconds, the cache cleared before each call."""
        from triton.testing import do_bench

        median, p20, p80 = do_bench(call, warmup=25, rep=100, quantiles=[0.5, 0.2, 0.8])
        return {"median": median, "p20": p20, "p80": p80}

    def peak_mb(self, call: Callable[[], Any]) -> float:
        """Megabytes that a call needs beyond what was there before."""
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 1e6

    def step(self, call: Callable[[], Any], repeats: int) -> dict[str, float]:
        """Median wall time of a call, milliseconds, after two to warm up; peak memory beside it."""
        times = []
        peak = max(self.peak_mb(call) for _ in range(2))
        for _ in range(repeats):
            self.synchronize()
            start = time.perf_counter()
            call()
            self.synchronize()
            times.append(1e3 * (time.perf_counter() - start))
        return {"median_ms": sorted(times)[repeats // 2], "peak_mb": peak}

    def kernels(self, call: Callable[[], Any]) -> tuple[list[tuple[str, float]], int]:
        """Name and milliseconds of all that the device does for a call, copies included.

        Then how many calls of the driver started it: one for all that is in a graph.
        """
        with profile(activities=[self.activity]) as recorded:
            call()
            self.synchronize()
        events = list(recorded.events() or ())
        done = [
            (event.name, event.time_range.elapsed_us() / 1e3)
            for event in events
            if event.device_type == self.events
        ]
        return done, sum(self.launching.match(event.name) is not None for event in events)

    def recorder(self) -> Recorder:
        """Of what is launched on it."""
        return CudaGraphs(torch.device(self.name))


class Pretended(Gpu):
    """A CPU in the place of the GPU, on small shapes; calls are made once and their times made up.

    What it calls a kernel is an operator.
    """

    name = "cpu"
    compiler = "eager"
    activity, events = ProfilerActivity.CPU, DeviceType.CPU
    launching = re.compile("")
    small = True

    def synchronize(self) -> None: ...

    def clear(self) -> None: ...

    def clock(self, call: Callable[[], Any]) -> dict[str, float]:
        """Ones."""
        call()
        return dict.fromkeys(("median", "p20", "p80"), 1.0)

    def peak_mb(self, call: Callable[[], Any]) -> float:
        """One."""
        call()
        return 1.0

    def step(self, call: Callable[[], Any], repeats: int) -> dict[str, float]:
        """As if it took one millisecond."""
        return super().step(call, 1) | {"median_ms": 1.0}

    def recorder(self) -> Recorder:
        """One that only does again what was recorded."""
        return Repeated()


class Repeated:
    """A `Recorder` without graphs."""

    def record(self, function: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """The function itself."""
        return function
