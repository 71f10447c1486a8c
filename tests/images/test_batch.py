"""Batches hold images of one padded size, which depends on each image alone."""

import torch

from mfd.images.batch import collate_images, equal_sizes, padded_size


def test_batches_hold_one_size_each_and_the_earliest_image_comes_first() -> None:
    wide, high, thin = (800, 1088), (1088, 800), (800, 1216)
    sizes = [wide, high, wide, high, thin, high, wide, wide]
    assert equal_sizes(sizes, 3) == [[0, 2, 6], [1, 3, 5], [4], [7]]
    assert equal_sizes(sizes, 1) == [[i] for i in range(8)]
    assert equal_sizes([], 3) == []


def test_padding_is_the_next_multiple_whatever_else_is_in_the_batch() -> None:
    assert padded_size((800, 1066), 32) == (800, 1088)
    assert padded_size((1333, 31), 32) == (1344, 32)
    assert padded_size((37, 101), 1) == (37, 101)
    images, mask = collate_images([torch.ones(3, 33, 64), torch.ones(3, 40, 41)], 32)
    assert images.shape == (2, 3, 64, 64)
    assert (~mask).sum((1, 2)).tolist() == [33 * 64, 40 * 41]
