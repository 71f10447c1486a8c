"""What is still to do when time runs out, memory is full or a peer fails: said, never skipped."""

import time
from collections.abc import Callable
from typing import TypeVar

from triton.errors import TritonError

from benchmarks.device import Gpu
from mfd.errors import MfdError

T = TypeVar("T")


class Plan:
    """Attempts one thing after the other and remembers what could not be done.

    Attributes:
        left_out: one line each.
    """

    def __init__(self, seconds: float, device: Gpu) -> None:
        self._started, self._seconds, self._device = time.monotonic(), seconds, device
        self.left_out: list[str] = []

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def attempt(self, name: str, call: Callable[[], T]) -> T | None:
        """What `call` returns; None, with a line in `left_out`, if it fails or time has run out."""
        if self.elapsed >= self._seconds:
            return self.leave_out(name, f"the {self._seconds:.0f} seconds were over")
        try:
            return call()
        except (ImportError, RuntimeError, TritonError, MfdError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        self._device.clear()  # outside the handler, which holds on to the memory of its frames
        return self.leave_out(name, reason)

    def leave_out(self, name: str, reason: str) -> None:
        """Say that something was not done, and why."""
        self.left_out.append(f"{name}: {reason}")
        print(f"    left out: {self.left_out[-1]}", flush=True)
