"""The sampling modules: up-sampling per image, and RoIAlign's settings."""

import torch
from torch.nn.functional import interpolate

from mfd.headtrain.head.sampling import RoIAlign, RoIAlignUpsampled, Upsample

FROM = torch.tensor([[5, 9], [7, 4], [1, 3]])
TO = torch.tensor([[9, 17], [14, 8], [4, 11]])


def test_each_image_is_upsampled_as_if_alone() -> None:
    maps = torch.randn(3, 7, 9, 6)
    found = Upsample()(maps, FROM, TO, 14, 17)
    for index, ((h, w), (height, width)) in enumerate(zip(FROM.tolist(), TO.tolist(), strict=True)):
        alone = maps[index, :h, :w].permute(2, 0, 1)[None]
        expected = interpolate(alone, (height, width), mode="bilinear")[0].permute(1, 2, 0)
        torch.testing.assert_close(found[index, :height, :width], expected)


def test_the_map_to_add_is_added() -> None:
    maps, other = torch.randn(3, 7, 9, 6), torch.randn(3, 14, 17, 6)
    found = Upsample()(maps, FROM, TO, 14, 17, other)
    torch.testing.assert_close(found, Upsample()(maps, FROM, TO, 14, 17) + other)


def test_roi_align_of_upsampled_maps_equals_both_steps() -> None:
    maps = torch.randn(3, 7, 9, 6)
    boxes = torch.tensor([[1.0, 2, 8, 7], [-2, 1, 30, 5], [0.3, 0, 4.2, 9], [2, 1, 2.1, 1.1]])
    image_index = torch.tensor([0, 0, 1, 2])
    fine = Upsample()(maps, FROM, TO, 14, 17)
    expected = RoIAlign(5)(fine, boxes, image_index, TO)
    found = RoIAlignUpsampled(5)(maps, boxes, image_index, FROM, TO)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_a_cell_is_the_mean_of_four_samples() -> None:
    rows, columns = torch.meshgrid(torch.arange(6.0), torch.arange(8.0), indexing="ij")
    ramp = (10 * rows + columns)[None, ..., None]
    box = torch.tensor([[2.0, 1.0, 6.0, 5.0]])  # 2 x 2 cells of 2 x 2 pixels
    found = RoIAlign(2)(ramp, box, torch.tensor([0]), torch.tensor([[6, 8]]))
    expected = torch.tensor([[17.5 - 0.0, 19.5], [37.5, 39.5]])  # 10 * y + x at pixel centres
    torch.testing.assert_close(found[0, ..., 0], expected)
