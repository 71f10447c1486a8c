"""What an element type does to feature maps; the base class is a float type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Float32, Num

from mfd.config import StoredDtype

if TYPE_CHECKING:  # it would import torch, which takes seconds
    import torch
    from torch import Tensor

CONSTANT_DTYPE = "float32"


class Encoding:
    """How values become stored numbers, and back: here by rounding them to a float type.

    Attributes:
        dtype: of the stored numbers, as zarr, numpy and torch call it; encodings that share it
            are decoded alike.
        query_dtype: element type of queries and logits. They are few, and box AP has to stay the
            detector's, so it is a float type even where maps have fewer bits.
        constants: names of what decoding needs besides: one float32 for every channel of a map.
        formula: how values follow from what is stored, `{name}` standing for a constant; None if
            they are the same.
        planar: whether a codec gets one channel after the other, as it has to where they differ in
            how much they say.
    """

    constants: tuple[str, ...] = ()
    formula: str | None = None
    planar = False

    def __init__(
        self,
        name: StoredDtype,
        query_dtype: StoredDtype | None = None,
        dtype: str | None = None,
    ) -> None:
        self.dtype = dtype or name
        self.query_dtype = query_dtype or name
        self.itemsize = np.dtype(self.dtype).itemsize

    @property
    def torch_dtype(self) -> torch.dtype:
        """`dtype` of tensors."""
        import torch

        found: torch.dtype = getattr(torch, self.dtype)
        return found

    def width(self, channels: int) -> int:
        """Stored numbers for each position of a map."""
        return channels

    def encode(
        self, values: Float[Tensor, "*n C"]
    ) -> tuple[Num[Tensor, "*n _P"], dict[str, Float32[Tensor, " C"]]]:
        """The stored numbers and the constants, on the device of the values."""
        return values.to(self.torch_dtype).contiguous(), {}

    def decode(
        self, stored: Num[Tensor, "*B H W _P"], constants: Mapping[str, Float32[Tensor, "*B C"]]
    ) -> Float[Tensor, "*B H W C"]:
        """The values of a map, or of several padded ones; what is stored stays as it is."""
        return stored

    def is_finite(
        self, stored: Num[Tensor, "*n _P"], constants: Mapping[str, Float32[Tensor, " C"]]
    ) -> Bool[Tensor, ""]:
        """Whether what was encoded is without NaN and overflow."""
        least, largest = stored.aminmax()  # a NaN is both
        return least.isfinite() & largest.isfinite()

    @property
    def constant_bytes(self) -> int:
        """Bytes of the constants of one channel of a map."""
        return 4 * len(self.constants)
