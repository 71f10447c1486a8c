"""Codes of four bits as floats, on both paths, against Python's integers."""

import pytest
import torch

from mfd.kernels import unpack
from tests.kernels.oracle import DEVICE


@pytest.mark.parametrize("channels", [1, 2, 5, 300])  # 300: more bytes than a program's
@pytest.mark.parametrize("positions", [0, 1, 37])
def test_every_code_becomes_its_channels_value(
    path: str, poisoned: None, positions: int, channels: int
) -> None:
    width = -(-channels // 2)
    stored = torch.randint(0, 256, (2, positions, width), dtype=torch.uint8)
    offset, scale = torch.randn(2, 2, channels)
    found = unpack(stored.to(DEVICE), offset.to(DEVICE), scale.to(DEVICE)).cpu()
    assert found.shape == (2, positions, channels)
    for b, n, c in torch.cartesian_prod(
        torch.arange(2), torch.arange(positions), torch.tensor([0, channels // 2, channels - 1])
    ).tolist():
        low, high = int(stored[b, n, c % width]) % 16, int(stored[b, n, c % width]) // 16
        expected = float(offset[b, c]) + (high if c >= width else low) * float(scale[b, c])
        assert abs(found[b, n, c].item() - expected) <= 1e-5, (b, n, c)


def test_part_of_a_batch_is_unpacked_as_it_lies(path: str) -> None:
    stored = torch.randint(0, 256, (3, 11, 8), dtype=torch.uint8, device=DEVICE)
    offset, scale = torch.randn(2, 3, 10, device=DEVICE)
    whole = unpack(stored[..., 2:7], offset, scale)
    assert torch.equal(unpack(stored[1:, 3:, 2:7], offset[1:], scale[1:]), whole[1:, 3:])
