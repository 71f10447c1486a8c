"""Ctrl-C, SIGTERM and SIGHUP: at once where nothing is at stake, after the current step elsewhere.

A process that has just started, or reads annotations, ends at once: everything mfd writes survives
a kill. Work that has something to put in safety runs inside `stops_cleanly`.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """Raised in the main thread by a signal.

    Attributes:
        signum: which one; the process ends with exit code 128 + signum.
    """

    def __init__(self, text: str = "", signum: int = signal.SIGINT) -> None:
        super().__init__(text)
        self.signum = signum


def install_exit_at_once() -> None:
    """Let all three signals end the process at once, outside of `stops_cleanly`."""

    def leave(signum: int, frame: FrameType | None) -> None:
        sys.stderr.write("\nstopped\n")
        sys.stderr.flush()
        os._exit(128 + signum)

    for each in _heeded():
        signal.signal(each, leave)


@contextmanager
def stops_cleanly() -> Iterator[None]:
    """Within it, the first signal raises `Stopped` in the main thread, and so does each later one.

    Outside the main thread, where Python delivers no signals, it does nothing.
    """

    def stop(signum: int, frame: FrameType | None) -> None:
        raise Stopped("", signum)

    with _handled_by(stop):
        yield


@contextmanager
def stop_requested() -> Iterator[Callable[[], int]]:
    """A function that returns the signal that asked to stop, 0 if none has.

    The first signal is only remembered, so that a step can end; the second raises `Stopped`.
    """
    asked = 0

    def remember(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise Stopped("", signum)
        asked = signum

    with _handled_by(remember):
        yield lambda: asked


def _heeded() -> list[signal.Signals]:
    """The signals that whoever started the process did not have ignored, as `nohup` does."""
    return [each for each in _SIGNALS if signal.getsignal(each) != signal.SIG_IGN]


@contextmanager
def _handled_by(handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, handle) for each in _heeded()}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
