"""Loading ahead: the next items are read while the current one is worked on."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Key = TypeVar("Key")
Item = TypeVar("Item")


def prefetch(
    load: Callable[[Key], Item], keys: Iterable[Key], workers: int = 1, ahead: int = 2
) -> Iterator[Item]:
    """`load(key)` of every key in order, computed in threads and at most `ahead` items early.

    What `load` raises is raised where its item was due. Whoever leaves the loop waits for the
    items that are being loaded; those not begun are dropped.
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
