"""Sine position encodings against their formula and Transformers', and what they tell apart."""

import math

import torch
from transformers.models.deformable_detr.modeling_deformable_detr import (
    DeformableDetrSinePositionEmbedding,
)

from mfd.headtrain.head.padding import valid_pixels
from mfd.headtrain.head.position import pixel_positions
from mfd.nn import box_encoding, grid_encoding, grid_encodings, sine_encoding


def test_sines_and_cosines_alternate_with_falling_frequencies() -> None:
    position, dim, temperature = 0.27, 6, 50.0
    found = sine_encoding(torch.tensor(position), dim, temperature)
    angles = [2 * math.pi * position / temperature ** (2 * pair / dim) for pair in range(3)]
    expected = [f(angle) for angle in angles for f in (math.sin, math.cos)]
    assert found.allclose(torch.tensor(expected), atol=1e-6)


def test_grids_are_encoded_as_in_deformable_detr_on_padded_maps() -> None:
    sizes = torch.tensor([[5, 7], [6, 4]])
    theirs = DeformableDetrSinePositionEmbedding(num_position_features=12, normalize=True)
    valid = valid_pixels(sizes, 6, 7)
    expected = theirs(torch.Size((2, 24, 6, 7)), "cpu", torch.float32, mask=valid)
    ours = grid_encoding(*pixel_positions(sizes, 6, 7), 24)
    expected = expected.permute(0, 2, 3, 1)
    torch.testing.assert_close(ours[valid], expected[valid], atol=2e-5, rtol=0)


def test_grids_have_rows_in_the_first_half_and_columns_in_the_second() -> None:
    y, x = torch.rand(2, 3, 1), torch.rand(2, 1, 5)
    rows, columns = grid_encoding(y, x, 16, 20.0).chunk(2, -1)
    assert rows.equal(sine_encoding(y, 8, 20.0).expand_as(rows))
    assert columns.equal(sine_encoding(x, 8, 20.0).expand_as(columns))


def test_boxes_are_encoded_number_by_number_in_the_order_given() -> None:
    boxes = torch.rand(2, 3, 4)
    for number, part in enumerate(box_encoding(boxes, 40).chunk(4, -1)):
        assert part.equal(sine_encoding(boxes[..., number], 10))


def test_boxes_that_differ_in_one_number_are_encoded_differently() -> None:
    boxes = torch.full((5, 4), 0.5)
    boxes[torch.arange(4), torch.arange(4)] += 0.02
    encoded = box_encoding(boxes, 256)
    assert encoded.shape == (5, 256)
    assert (torch.cdist(encoded, encoded) + torch.eye(5)).min() > 0.1


def test_grids_encoded_at_once_are_those_encoded_one_by_one() -> None:
    grids = [(torch.rand(2, h, 1), torch.rand(2, 1, w)) for h, w in ((7, 5), (3, 11))]
    for dtype in (torch.float32, torch.bfloat16):
        for grid, found in zip(grids, grid_encodings(grids, 16, dtype), strict=True):
            assert found.equal(grid_encoding(*grid, 16).to(dtype))
