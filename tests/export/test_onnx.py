"""Translations to ONNX that are mfd's own: what PyTorch's get wrong, or lack."""

import pytest
import torch
from torch import Tensor, nn

from mfd.export.onnx import run_onnx, to_onnx
from mfd.export.parts import Part
from mfd.export.program import to_program

for package in ("onnx", "onnxruntime", "onnxscript"):
    pytest.importorskip(package, reason=f"{package} is not installed (extra `onnx`)")


class Questions(nn.Module):
    """How many pairs of lines there are, the last of which may lack one; whether all are small."""

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        pairs = -(-images.shape[2] // 2)
        return torch.arange(pairs), torch.ops.aten._is_all_true(images < 1)


def test_sizes_are_divided_and_conditions_joined_as_by_pytorch() -> None:
    names = {"images": (None, None, "height", None)}
    example = (torch.rand(1, 3, 8, 8),)
    part = Part("part", Questions(), ("pairs", "small"), names, {}, example)
    run = run_onnx(to_onnx(part, to_program(part), {}))
    for height in (4, 5, 7):
        images = torch.rand(1, 3, height, 8)
        (pairs, small), _ = run(images)
        assert pairs.tolist() == list(range((height + 1) // 2))
        assert small
        images[0, 2, -1, -1] = 1
        assert not run(images)[0][1]
