"""The type of sums: of what a kernel adds up, and of what it keeps for its gradient."""

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    import triton.language as tl


def sum_dtype(dtype: torch.dtype) -> torch.dtype:
    """Float64 for values of float64, float32 for all others."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def accumulator(dtype: torch.dtype) -> "tl.dtype":
    """Triton's name of `sum_dtype`."""
    import triton.language as tl

    return tl.float64 if dtype == torch.float64 else tl.float32
