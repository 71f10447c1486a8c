"""Decoded images ahead of the detector, and batches of similar sizes among them."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from mfd.errors import DataError

_MOST_PADDING = 0.2

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


def similar_sizes(sizes_hw: Sequence[tuple[int, int]], batch_size: int) -> list[list[int]]:
    """Indices of the images in batches of at most `batch_size`, so that little is padding.

    Images are sorted by shape, wide ones first; a batch ends where the next image would leave
    more than a fifth of it padding. The result depends on the sizes alone, so a repeated
    extraction computes the same batches.
    """
    batches: list[list[int]] = []
    for i in sorted(range(len(sizes_hw)), key=lambda i: (sizes_hw[i][0] / sizes_hw[i][1], i)):
        if batches and len(batches[-1]) < batch_size:
            joined = [sizes_hw[j] for j in (*batches[-1], i)]
            if _padded_share(joined) <= _MOST_PADDING:
                batches[-1].append(i)
                continue
        batches.append([i])
    return batches


def _padded_share(sizes_hw: Sequence[tuple[int, int]]) -> float:
    """How much of a batch of these sizes is padding."""
    heights, widths = zip(*sizes_hw, strict=True)
    used = sum(height * width for height, width in sizes_hw)
    return 1 - used / (len(sizes_hw) * max(heights) * max(widths))
