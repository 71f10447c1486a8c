"""What every launch of multi-scale deformable attention needs of its arguments."""

from typing import Any

import torch
import triton
from torch import Tensor

from mfd.errors import KernelError
from mfd.kernels.dispatch import interpreted
from mfd.kernels.sums import accumulator, sum_dtype

MAX_ELEMENTS = 2**31  # of one image's value; offsets inside it are 32 bits wide
INTERPRETED = 90  # capability that the interpreter passes for


class Call:
    """The arguments of an operator, see `op`, as the kernels take them.

    Attributes:
        dtype: of value and its gradient.
        exact: type of the sums.
        batch, queries, heads, dim, points, levels, area: B, Q, M, D, T, L, S.
        fused: whether points are offsets and weights logits.
        tensors: shapes, points, weights, reference points (or anything instead of them).
    """

    def __init__(
        self,
        value: Tensor,
        shapes: Tensor,
        points: Tensor,
        weights: Tensor,
        reference: Tensor | None,
    ) -> None:
        _, area, self.heads, self.dim = value.shape
        if area * self.heads * self.dim >= MAX_ELEMENTS:
            raise KernelError(
                f"one image's value has {area * self.heads * self.dim} elements, "
                f"the kernels take fewer than {MAX_ELEMENTS}; use smaller images"
            )
        self.dtype = value.dtype
        self.exact = sum_dtype(value.dtype)
        self.batch, self.queries, _, self.points = weights.shape
        self.levels, self.area, self.fused = len(shapes), area, reference is not None
        self.tensors = (
            shapes.to(value.device).contiguous(),
            points.contiguous(),
            weights.contiguous(),
            weights if reference is None else reference.contiguous(),
        )

    @property
    def capability(self) -> int:
        """Of the device, 90 for 9.0."""
        if interpreted():
            return INTERPRETED
        major, minor = torch.cuda.get_device_capability(self.tensors[0].device)
        return 10 * major + minor

    def grid(self, block: int) -> tuple[int]:
        """Programs of these kernels."""
        return (self.batch * self.heads * triton.cdiv(self.queries, block),)

    def constants(self, block: int) -> dict[str, Any]:
        """What the kernels take that work on blocks of queries, by name."""
        return {
            "S": self.area,
            "Q": self.queries,
            "M": self.heads,
            "D": self.dim,
            "L": self.levels,
            "P": self.points // self.levels,
            "BLOCK_Q": block,
            "BLOCK_D": triton.next_power_of_2(self.dim),
            "BLOCK_T": triton.next_power_of_2(self.points),
            "FUSED": self.fused,
            "ACC": accumulator(self.exact),
        }
