"""Which images make up each batch of an epoch, decided by seed and epoch alone."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

_BATCHES_PER_POOL = 64


def epoch_batches(
    positions: Sequence[int],
    sizes_hw: Int[np.ndarray, "n 2"],
    batch_size: int,
    seed: int,
    epoch: int,
) -> list[list[int]]:
    """Every position once, in batches of images of similar size; the last may be smaller.

    The order is random; within each pool of 64 batches images are sorted by size before they are
    cut into batches, so that little is padded, and the batches are shuffled again. Images of one
    size stay in random order.

    Args:
        positions: of the images in their store.
        sizes_hw: of each of them, any unit.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(positions))
    pool = batch_size * _BATCHES_PER_POOL
    batches: list[Int[np.ndarray, " b"]] = []
    for start in range(0, len(order), pool):
        members = order[start : start + pool]
        members = members[np.lexsort((sizes_hw[members, 1], sizes_hw[members, 0]))]  # stable
        batches += [members[i : i + batch_size] for i in range(0, len(members), batch_size)]
    return [[positions[i] for i in batches[b]] for b in random.permutation(len(batches))]
