"""A progress bar with rate and time left; plain lines where there is no terminal."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from mfd.distributed import launched
from mfd.stopping import stops_cleanly

_SECONDS_BETWEEN_LINES = 15.0
_SHOWN: ContextVar[bool] = ContextVar("shown", default=False)


class Advance(Protocol):
    """Call it when `count` more items are done; `note` is shown behind the rate."""

    def __call__(self, count: int = 1, note: str = "") -> None: ...


@contextmanager
def progress(
    title: str, total: int | None, done: int = 0, unit: str = "images"
) -> Iterator[Advance]:
    """A function to call after each piece of work, `done` of `total` being there already.

    Without a total it says how much is done, and no time that is left.

    The rate counts this run's work only, so a resumed run does not look faster than it is. Until
    it is done, Ctrl-C, SIGTERM and SIGHUP raise `Stopped`: whoever works puts the work in safety.
    Within another one it shows nothing: the work is part of the other's. Of several processes that
    work as one, the first shows it.
    """
    if _SHOWN.get() or launched()[0] > 0:
        with stops_cleanly():
            yield lambda count=1, note="": None
        return
    _SHOWN.set(True)
    try:
        with stops_cleanly(), _shown(title, total, done, unit) as advance:
            yield advance
    finally:
        _SHOWN.set(False)


@contextmanager
def _shown(title: str, total: int | None, done: int, unit: str) -> Iterator[Advance]:
    console = Console(stderr=True)
    started = time.monotonic()
    fresh = 0

    def rate() -> str:
        return f"{fresh / max(time.monotonic() - started, 1e-9):.1f} {unit}/s"

    if console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(min(40, console.width // 4)),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            # of all columns this one may take a second line
            TextColumn("{task.fields[rate]}  {task.fields[note]}", table_column=Column()),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(title, total=total, completed=done, rate="", note="")

            def advance_bar(count: int = 1, note: str = "") -> None:
                nonlocal fresh
                fresh += count
                bar.update(task, advance=count, rate=rate(), note=note)

            yield advance_bar
        return

    last_line = started

    def advance_line(count: int = 1, note: str = "") -> None:
        nonlocal fresh, last_line
        fresh += count
        now = time.monotonic()
        finished = count > 0 and total is not None and done + fresh >= total
        if now - last_line < _SECONDS_BETWEEN_LINES and not finished:
            return
        last_line = now
        if total is None:
            text = f"{title}: {done + fresh}, {rate()}  {note}"
        else:
            left = (total - done - fresh) * (now - started) / max(fresh, 1)
            text = f"{title}: {done + fresh}/{total}, {rate()}, {left:.0f} s left  {note}"
        console.print(text.rstrip(), highlight=False, soft_wrap=True)

    yield advance_line
