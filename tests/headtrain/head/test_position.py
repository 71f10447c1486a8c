"""Sine position encodings against Transformers', and what they must tell apart."""

import torch
from transformers.models.deformable_detr.modeling_deformable_detr import (
    DeformableDetrSinePositionEmbedding,
)

from mfd.headtrain.head.padding import valid_pixels
from mfd.headtrain.head.position import box_encoding, pixel_encoding, pixel_positions


def test_pixels_are_encoded_as_in_deformable_detr_on_padded_maps() -> None:
    sizes = torch.tensor([[5, 7], [6, 4]])
    theirs = DeformableDetrSinePositionEmbedding(num_position_features=12, normalize=True)
    valid = valid_pixels(sizes, 6, 7)
    expected = theirs(torch.Size((2, 24, 6, 7)), "cpu", torch.float32, mask=valid)
    ours = pixel_encoding(*pixel_positions(sizes, 6, 7), 24)
    expected = expected.permute(0, 2, 3, 1)
    torch.testing.assert_close(ours[valid], expected[valid], atol=2e-5, rtol=0)


def test_pixel_centres_are_symmetric_in_each_image() -> None:
    y, x = pixel_positions(torch.tensor([[5, 7], [2, 3]]), 5, 7)
    torch.testing.assert_close(y[0] + y[0].flip(0), torch.ones(5))
    torch.testing.assert_close(x[1, :3], torch.tensor([1, 3, 5]) / 6)


def test_boxes_that_differ_in_one_number_are_encoded_differently() -> None:
    boxes = torch.full((5, 4), 0.5)
    boxes[torch.arange(4), torch.arange(4)] += 0.02
    encoded = box_encoding(boxes)
    assert encoded.shape == (5, 256)
    assert (torch.cdist(encoded, encoded) + torch.eye(5)).min() > 0.1
