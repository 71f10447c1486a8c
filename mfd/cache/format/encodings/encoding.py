"""What an element type has to say of itself, and the types that are plain floats."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Num
from torch import Tensor

from mfd.config import StoredDtype

CONSTANT_DTYPE = "float32"


class Encoding(ABC):
    """How feature maps become stored numbers, and back.

    Attributes:
        dtype: of the stored numbers, as numpy, zarr and torch call it; no two encodings share it.
        query_dtype: element type of queries and logits. They are few, and box AP has to stay the
            detector's, so it is a float type even where maps have fewer bits.
        constants: names of what decoding needs besides: one float32 for every channel of a map.
        formula: how values follow from what is stored, `{name}` standing for a constant; None if
            they are the same.
    """

    dtype: str
    query_dtype: StoredDtype
    constants: tuple[str, ...] = ()
    formula: str | None = None

    @abstractmethod
    def encode(
        self, values: Float[Tensor, "*n C"]
    ) -> tuple[Num[Tensor, "*n C"], dict[str, Float32[Tensor, " C"]]]:
        """The stored numbers and the constants, on the device of the values."""

    @abstractmethod
    def decode(
        self, stored: Num[Tensor, "*B H W C"], constants: Mapping[str, Float32[Tensor, "*B C"]]
    ) -> Float[Tensor, "*B H W C"]:
        """The values of a map, or of several padded ones."""

    @abstractmethod
    def is_finite(
        self, stored: Num[Tensor, "*n C"], constants: Mapping[str, Float32[Tensor, " C"]]
    ) -> Bool[Tensor, ""]:
        """Whether the values that were encoded can be decoded again: no NaN, no overflow."""

    @property
    def torch_dtype(self) -> torch.dtype:
        """Of the stored numbers."""
        found = getattr(torch, self.dtype)
        assert isinstance(found, torch.dtype)
        return found

    @property
    def itemsize(self) -> int:
        """Bytes of one stored number."""
        return np.dtype(self.dtype).itemsize

    @property
    def constant_bytes(self) -> int:
        """Bytes of the constants of one channel of a map."""
        return len(self.constants) * np.dtype(CONSTANT_DTYPE).itemsize


class FloatEncoding(Encoding):
    """Values rounded to a float type."""

    def __init__(self, dtype: StoredDtype) -> None:
        self.dtype = self.query_dtype = dtype

    def encode(
        self, values: Float[Tensor, "*n C"]
    ) -> tuple[Float[Tensor, "*n C"], dict[str, Float32[Tensor, " C"]]]:
        """The values in the float type; they share their memory if they have it already."""
        return values.to(self.torch_dtype).contiguous(), {}

    def decode(
        self, stored: Num[Tensor, "*B H W C"], constants: Mapping[str, Float32[Tensor, "*B C"]]
    ) -> Float[Tensor, "*B H W C"]:
        """What is stored."""
        return stored

    def is_finite(
        self, stored: Num[Tensor, "*n C"], constants: Mapping[str, Float32[Tensor, " C"]]
    ) -> Bool[Tensor, ""]:
        """Whether no value is NaN or beyond the float type's range."""
        return torch.stack(torch.aminmax(stored)).isfinite().all()  # a NaN is both min and max
