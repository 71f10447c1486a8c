"""Programs of `torch.export`: which sizes stay open."""

import sys

import torch
from torch import Tensor, nn

from mfd.export.parts import Part
from mfd.export.program import run_bytes, to_bytes, to_program


class Counting(nn.Module):
    """Counts the images of a call by `len`, as detectors of Transformers do."""

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        queries = torch.arange(3.0).tile([len(images), 1])
        return (queries * images.mean((1, 2, 3))[:, None],)


def test_the_number_of_images_stays_open_where_len_counts_them() -> None:
    module, example = Counting().eval(), torch.rand(2, 3, 8, 8)
    part = Part("part", module, ("queries",), {"images": ("n", None, None, None)}, {}, (example,))
    run = run_bytes(to_bytes(to_program(part), {}))
    for count in (1, 2, 5):
        images = torch.rand(count, 3, 8, 8)
        (found,), _ = run(images)
        torch.testing.assert_close(found, module(images)[0])
    assert "len" not in vars(sys.modules[__name__])  # as before
