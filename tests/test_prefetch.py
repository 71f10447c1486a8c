import threading

import pytest

from mfd.prefetch import prefetch


@pytest.mark.parametrize(("workers", "ahead"), [(1, 0), (1, 2), (3, 5), (2, 100)])
def test_items_come_in_order_whatever_the_number_of_threads(workers: int, ahead: int) -> None:
    squares = prefetch(lambda key: key * key, range(23), workers=workers, ahead=ahead)

    assert list(squares) == [key * key for key in range(23)]


def test_no_more_than_asked_for_is_loaded_early() -> None:
    asked: list[int] = []

    def keys() -> list[int]:
        for key in range(10):
            asked.append(key)
            yield key

    items = prefetch(lambda key: key, keys(), ahead=2)
    assert [next(items), next(items)] == [0, 1]
    assert asked == [0, 1, 2, 3]
    items.close()


def test_an_error_is_raised_where_its_item_was_due() -> None:
    def load(key: int) -> int:
        if key == 3:
            raise KeyError(key)
        return key

    items = prefetch(load, range(9), workers=2, ahead=4)

    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError, match="3"):
        next(items)


def test_leaving_the_loop_leaves_no_thread() -> None:
    before = threading.active_count()
    for _ in prefetch(lambda key: key, range(100), workers=3, ahead=8):
        break

    assert threading.active_count() == before
