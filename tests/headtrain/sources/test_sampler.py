from itertools import pairwise

import numpy as np

from mfd.headtrain.sources.sampler import epoch_batches


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
