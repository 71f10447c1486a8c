"""Working ahead in threads: the next items are made while the current one is used."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Key = TypeVar("Key")
Item = TypeVar("Item")


def prefetch(
    load: Callable[[Key], Item], keys: Iterable[Key], workers: int = 1, ahead: int = 2
) -> Generator[Item, None, None]:
    """`load(key)` of every key in order, computed in threads and at most `ahead` items early.

    The keys are taken in the caller's thread, so `load` may also be what comes after slow keys:
    with `ahead=1`, one item is stored while the next key is computed.

    What `load` raises is raised where its item was due. Closing the generator waits for the items
    that are being loaded; those not started are dropped.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="prefetch")
    waiting: deque[Future[Item]] = deque()
    try:
        for key in keys:
            waiting.append(pool.submit(load, key))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def awaited(items: Iterable[Item]) -> Generator[tuple[Item, float], None, None]:
    """Every item, and the seconds that the caller waited for it."""
    asked = time.monotonic()
    for item in items:
        yield item, time.monotonic() - asked
        asked = time.monotonic()
