"""Sine positions of map cells."""

import torch

from mfd.detectors.deformable.position import map_position
from mfd.nn import sine_encoding


def test_padding_does_not_move_the_position_of_an_images_own_cells() -> None:
    alone = map_position(torch.zeros(1, 5, 7, dtype=torch.bool), 32, 20.0, -0.5)
    mask = torch.ones(1, 9, 8, dtype=torch.bool)
    mask[:, :5, :7] = False
    assert map_position(mask, 32, 20.0, -0.5)[:, :5, :7].allclose(alone, atol=1e-6)


def test_the_first_half_is_the_row_and_the_second_the_column() -> None:
    rows, columns = map_position(torch.zeros(1, 3, 5, dtype=torch.bool), 16, 1e4, 0.0).chunk(2, -1)
    assert rows[:, :, :1].expand_as(rows).equal(rows)
    assert columns[:, :1].expand_as(columns).equal(columns)
    last = sine_encoding(torch.tensor(1.0), 8)  # the last row is one whole turn
    assert rows[0, -1, 0].allclose(last, atol=1e-5)
