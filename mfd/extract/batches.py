"""Decoded images ahead of the detector, and batches of similar sizes among them."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from mfd.errors import DataError

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")


def decode_ahead(
    groups: Iterable[Sequence[Item]],
    load: Callable[[Item], Loaded],
    workers: int,
    groups_ahead: int = 1,
) -> Generator[list[Loaded | DataError], None, None]:
    """Each group's items, loaded in threads; an item that cannot be used is its error.

    While the caller works on a group, the threads load the next `groups_ahead`, never more:
    memory holds `groups_ahead + 1` groups however slow the caller is.
    """

    def attempt(item: Item) -> Loaded | DataError:
        try:
            return load(item)
        except DataError as error:
            return error

    waiting = iter(groups)
    executor = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    pending: deque[list[Future[Loaded | DataError]]] = deque()
    try:
        while True:
            for group in islice(waiting, groups_ahead + 1 - len(pending)):
                pending.append([executor.submit(attempt, item) for item in group])
            if not pending:
                return
            yield [future.result() for future in pending.popleft()]
    finally:
        executor.shutdown(cancel_futures=True)
