"""Which images make up each batch of an epoch, and in which view, by seed and epoch alone."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int, Int64, UInt64

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


def drawn_views(
    image_ids: Int64[np.ndarray, " n"], available: Bool[np.ndarray, "n V"], seed: int, epoch: int
) -> Int64[np.ndarray, " n"]:
    """One of the available views of every image, each of them equally likely.

    It depends on seed, epoch and image id alone, not on the other images or their order.

    Args:
        available: at least one for every image.
    """
    key = np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)
    random = mixed(mixed(image_ids.astype(np.uint64)) + key)
    place = (random % available.sum(1).astype(np.uint64)).astype(np.int64)
    return (available.cumsum(1) == place[:, None] + 1).argmax(1)


def mixed(values: UInt64[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
    """Every value as 64 random bits: SplitMix64 (Steele, Lea and Flood 2014, figure 16)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
