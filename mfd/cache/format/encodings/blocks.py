"""Maps in the order in which a CPU has them at hand, for encodings that look at them twice."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING

from jaxtyping import Float

if TYPE_CHECKING:  # it would import torch, which takes seconds
    from torch import Tensor

_BLOCK = 1 << 18  # values that a CPU's cache holds as float32


def channel_range(values: Float[Tensor, "*n C"]) -> tuple[Float[Tensor, " C"], Float[Tensor, " C"]]:
    """The least and the largest value of each channel; NaN in a channel that holds one.

    One axis at a time: of a map that is cut out of a larger one, PyTorch takes twenty times as long
    over all axes at once, and `aminmax` takes ten times as long over one.
    """
    least, largest = values, values
    while least.ndim > 1:
        least, largest = least.amin(0), largest.amax(0)
    return least, largest


def in_blocks(values: Tensor, stored: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Corresponding parts of what is read and what is written; on a GPU all at once."""
    rows = max(1, _BLOCK // max(1, prod(values.shape[1:]))) if values.is_cpu else len(values)
    return zip(values.split(rows), stored.split(rows), strict=True)
