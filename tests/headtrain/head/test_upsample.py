"""Up-sampling of a batch: every image as if alone."""

import torch
from torch.nn.functional import interpolate

from mfd.headtrain.head.upsample import upsample

FROM = torch.tensor([[5, 9], [7, 4], [1, 3]])
TO = torch.tensor([[9, 17], [14, 8], [4, 11]])


def test_each_image_is_upsampled_as_if_alone() -> None:
    maps = torch.randn(3, 7, 9, 6)
    found = upsample(maps, FROM, TO, 14, 17)
    for index, ((h, w), (height, width)) in enumerate(zip(FROM.tolist(), TO.tolist(), strict=True)):
        alone = maps[index, :h, :w].permute(2, 0, 1)[None]
        expected = interpolate(alone, (height, width), mode="bilinear")[0].permute(1, 2, 0)
        torch.testing.assert_close(found[index, :height, :width], expected)
