"""Positions of pixels on padded maps."""

import torch

from mfd.headtrain.head.position import pixel_centres, pixel_positions


def test_pixel_positions_are_symmetric_in_each_image() -> None:
    y, x = pixel_positions(torch.tensor([[5, 7], [2, 3]]), 5, 7)
    torch.testing.assert_close(y[0, :, 0] + y[0, :, 0].flip(0), torch.ones(5))
    torch.testing.assert_close(x[1, 0, :3], torch.tensor([1, 3, 5]) / 6)


def test_pixel_centres_are_xy_row_by_row() -> None:
    centres = pixel_centres(*pixel_positions(torch.tensor([[3, 4]]), 3, 4))
    assert centres.shape == (1, 12, 2)
    torch.testing.assert_close(centres[0, 4 + 3], torch.tensor([3.5 / 4, 1.5 / 3]))
