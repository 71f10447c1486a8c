from itertools import pairwise

import numpy as np

from mfd.headtrain.sources.sampler import drawn_views, epoch_batches


def test_every_image_comes_once_an_epoch() -> None:
    positions = list(range(5, 705, 7))
    batches = epoch_batches(positions, np.full((len(positions), 2), 10), 8, seed=0, epoch=0)
    assert sorted(p for batch in batches for p in batch) == positions
    assert sorted(map(len, batches))[1:] == [8] * (len(batches) - 1)


def test_seed_and_epoch_decide_the_order_and_nothing_else_does() -> None:
    sizes = np.full((40, 2), 10)
    first, again, other_epoch, other_seed = (
        epoch_batches(range(40), sizes, 4, seed, epoch)
        for seed, epoch in ((1, 2), (1, 2), (1, 3), (2, 2))
    )
    assert first == again
    assert first != other_epoch
    assert first != other_seed


def test_batches_hold_images_of_similar_size() -> None:
    random = np.random.default_rng(0)
    sizes = [(800, 1200) if tall else (1200, 800) for tall in random.random(600) < 0.5]
    batches = epoch_batches(range(600), np.array(sizes), 8, seed=0, epoch=0)
    mixed = sum(len({sizes[i] for i in batch}) > 1 for batch in batches)
    assert mixed <= 2  # at most one in each of two pools
    order = [sizes[batch[0]] for batch in batches]
    changes = sum(before != after for before, after in pairwise(order))
    assert changes > 20  # the batches are shuffled: sorted pools change size three times


def test_images_of_one_size_are_not_kept_together() -> None:
    batches = epoch_batches(range(64), np.full((64, 2), 10), 8, seed=0, epoch=0)
    assert all(max(batch) - min(batch) > 8 for batch in batches)


def test_views_are_drawn_evenly_from_those_an_image_has() -> None:
    available = np.ones((3000, 4), bool)
    available[:1000, 1] = False
    available[1000:1500, :3] = False
    ids = np.arange(3000) * 7 - 40  # ids may be negative
    drawn = drawn_views(ids, available, seed=3, epoch=5)
    assert available[np.arange(3000), drawn].all()
    for rows, expected in (
        (slice(1000), (1 / 3, 0, 1 / 3, 1 / 3)),
        (slice(1500, 3000), (0.25,) * 4),
    ):
        shares = np.bincount(drawn[rows], minlength=4) / len(drawn[rows])
        allowed = 4 * np.sqrt(np.array(expected) * (1 - np.array(expected)) / len(drawn[rows]))
        assert (abs(shares - expected) <= allowed).all()


def test_views_of_neighbouring_images_epochs_and_seeds_are_unrelated() -> None:
    available, ids = np.ones((4000, 2), bool), np.arange(4000)
    first = drawn_views(ids, available, 0, 0)
    others = [drawn_views(ids, available, *key) for key in ((0, 1), (1, 0), (1, 1))]
    for other in (*others, np.roll(first, 1)):
        assert abs((first == other).mean() - 0.5) < 4 * 0.5 / 4000**0.5


def test_the_view_of_an_image_depends_on_no_other_image() -> None:
    available, ids = np.ones((50, 3), bool), np.arange(50) * 11
    whole, part = drawn_views(ids, available, 1, 2), drawn_views(ids[::-3], available[::-3], 1, 2)
    assert (part == whole[::-3]).all()
