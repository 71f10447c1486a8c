"""Sizes of maps as a tensor."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor


def sizes_tensor(sizes_hw: Sequence[tuple[int, int]], device: torch.device) -> Int[Tensor, "L 2"]:
    """(H, W) of each of L maps on a device.

    Filled in there: a GPU that is sent numbers from pageable memory keeps the program waiting.
    While a program is exported, sizes may be symbols.
    """
    sides = [side for size_hw in sizes_hw for side in size_hw]
    filled = [torch.full((), side, dtype=torch.int64, device=device) for side in sides]
    return torch.stack(filled).view(-1, 2)
