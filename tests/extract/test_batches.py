"""Decoding runs ahead, but not far; batches hold similar sizes."""

import threading
import time

import pytest
from mfd.extract.batches import decode_ahead

from mfd.errors import DataError
from mfd.images.batch import similar_sizes


def test_groups_come_in_order_and_failures_in_their_place() -> None:
    def load(item: int) -> int:
        time.sleep(0.001 * (item % 3))
        if item == 5:
            raise DataError("five")
        return item * item

    groups = [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
    first, second, third = decode_ahead(groups, load, workers=3)
    assert first == [0, 1, 4, 9]
    assert second[0] == 16
    assert second[2:] == [36, 49]
    assert isinstance(second[1], DataError)
    assert third == [64]


def test_threads_work_ahead_by_the_groups_allowed_and_no_more() -> None:
    started: list[int] = []
    lock = threading.Lock()

    def load(item: int) -> int:
        with lock:
            started.append(item)
        return item

    groups = [[10 * i, 10 * i + 1] for i in range(6)]
    decoded = decode_ahead(groups, load, workers=4, groups_ahead=2)
    next(decoded)
    deadline = time.monotonic() + 5
    while len(started) < 6 and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.05)
    assert sorted(started) == [0, 1, 10, 11, 20, 21]
    decoded.close()
    assert len(started) == 6


def test_a_programming_error_is_not_taken_for_a_bad_image() -> None:
    def load(item: int) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(decode_ahead([[1]], load, workers=1))


def test_batches_keep_landscape_and_portrait_apart() -> None:
    landscape, portrait = (800, 1066), (1066, 800)
    sizes = [landscape, portrait, landscape, portrait, (800, 1199), portrait, landscape]
    assert similar_sizes(sizes, 3) == [[4, 0, 2], [6], [1, 3, 5]]
    assert similar_sizes(sizes, 1) == [[4], [0], [2], [6], [1], [3], [5]]
    assert similar_sizes([], 3) == []


def test_one_size_fills_its_batches() -> None:
    assert similar_sizes([(37, 53)] * 5, 2) == [[0, 1], [2, 3], [4]]
