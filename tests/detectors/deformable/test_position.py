"""Sine positions of map cells and boxes."""

import math

import torch

from mfd.detectors.deformable.position import box_position, map_position, sine


def test_sine_alternates_sines_and_cosines_of_falling_frequencies() -> None:
    value, features, temperature = 1.7, 6, 50.0
    found = sine(torch.tensor(value), features, temperature)
    angles = [value / temperature ** (2 * pair / features) for pair in range(3)]
    expected = [f(angle) for angle in angles for f in (math.sin, math.cos)]
    assert found.allclose(torch.tensor(expected), atol=1e-6)


def test_padding_does_not_move_the_position_of_an_images_own_cells() -> None:
    alone = map_position(torch.zeros(1, 5, 7, dtype=torch.bool), 32, 20.0, -0.5)
    mask = torch.ones(1, 9, 8, dtype=torch.bool)
    mask[:, :5, :7] = False
    assert map_position(mask, 32, 20.0, -0.5)[:, :5, :7].allclose(alone, atol=1e-6)


def test_the_first_half_is_the_row_and_the_second_the_column() -> None:
    rows, columns = map_position(torch.zeros(1, 3, 5, dtype=torch.bool), 16, 1e4, 0.0).chunk(2, -1)
    assert rows[:, :, :1].expand_as(rows).equal(rows)
    assert columns[:, :1].expand_as(columns).equal(columns)
    last = sine(torch.tensor(2 * math.pi), 8, 1e4)  # the last row is one whole turn
    assert rows[0, -1, 0].allclose(last, atol=1e-5)


def test_a_boxes_position_is_that_of_its_numbers_in_order() -> None:
    boxes = torch.rand(2, 3, 4)
    parts = box_position(boxes, 10).chunk(4, -1)
    for number, part in enumerate(parts):
        assert part.equal(sine(boxes[..., number] * 2 * math.pi, 10, 1e4))
