"""Which pixels of a padded map are the image's."""

import torch

from mfd.headtrain.head.padding import valid_pixels, zero_padding

SIZES = torch.tensor([[3, 5], [4, 2]])


def test_valid_pixels_are_the_top_left_corner_of_each_image() -> None:
    valid = valid_pixels(SIZES, 4, 5)
    assert valid[0, :3, :5].all()
    assert valid[1, :4, :2].all()
    assert valid.sum() == 3 * 5 + 4 * 2


def test_padding_becomes_zero_even_if_it_was_nan() -> None:
    maps = torch.full((2, 4, 5, 3), torch.nan)
    maps[0, :3, :5] = 1
    maps[1, :4, :2] = 1
    assert zero_padding(maps, SIZES).sum() == (3 * 5 + 4 * 2) * 3


def test_maps_without_padding_are_not_copied() -> None:
    maps = torch.full((2, 4, 5, 3), torch.nan)
    assert zero_padding(maps, torch.tensor([[4, 5], [4, 5]])) is maps
