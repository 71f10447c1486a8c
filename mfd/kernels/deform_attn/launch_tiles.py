"""Launches the kernels that sum the gradient of value by tiles: count, place, multiply."""

from math import isqrt
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from mfd.errors import KernelError
from mfd.kernels.deform_attn import tiles as kernels
from mfd.kernels.deform_attn.call import Call
from mfd.kernels.dispatch import interpreted
from mfd.kernels.sums import accumulator

MAX_POINTS = 2**31  # counters are 32 bits wide
THREADS = 32  # of a program that sorts, one warp
REGISTERS = 128  # at most; left to itself the compiler spills three of 16 channels, in 96
INTERPRETED_THREADS = 256  # the interpreter's cost is per program
COUNTERS = 2**18  # that are cleared and summed in the time in which a thread takes one query


class Choice(NamedTuple):
    """What can be tuned; `python -m benchmarks.tune` does.

    Attributes:
        tile: pixels of a program, a power of two from 16 on.
        chunk: points of one product, likewise.
        bin: successive pixels whose points are sorted together.
    """

    tile: int = 16
    chunk: int = 32
    bin: int = 8


CHOICE = Choice()
"""Of all devices, not timed yet: in the machine code for 9.0, a warp takes 10 instructions per
point and tile, and tiles of 32 pixels 16 but 2.5 instead of 3 tiles per point."""


def value_grad(call: Call, grad: Tensor) -> Tensor:
    """The gradient of value (B, S, M, D), of value's type, the same in every run.

    Raises:
        KernelError: if there are too many points.
    """
    bins = call.area // CHOICE.bin + call.levels  # at least as many as the levels need
    tiles = call.area // CHOICE.tile + call.levels
    shape = (call.batch, call.area, call.heads, call.dim)
    out = torch.empty(shape, dtype=call.dtype, device=grad.device)
    wide = call.exact == torch.float64
    options = {} if interpreted() or wide else {"maxnreg": REGISTERS}
    with torch.cuda.device_of(grad):
        table, records, runs = _sorted_points(call, bins)
        kernels.tile_kernel[(call.batch * call.heads * tiles,)](
            grad.contiguous(), call.tensors[0], table, records, out,
            call.area, call.queries, bins, runs, tiles,
            M=call.heads, D=call.dim, L=call.levels,
            BIN=CHOICE.bin, TILE=CHOICE.tile, CHUNK=CHOICE.chunk,
            BLOCK_D=max(triton.next_power_of_2(call.dim), 16),
            PRECISION="tf32" if out.element_size() == 2 else "ieee", ACC=accumulator(call.exact),
            num_warps=1, **options,
        )  # fmt: skip
    return out


def _sorted_points(call: Call, bins: int) -> tuple[Tensor, Tensor, int]:
    """Where the points of each bin and run start, the points, and how many runs there are."""
    total = call.batch * call.queries * call.heads * call.points
    if total >= MAX_POINTS:
        raise KernelError(
            f"{total} points are to be sorted, the kernels take fewer than {MAX_POINTS}; "
            "use smaller batches"
        )
    wide, device = call.exact == torch.float64, call.tensors[0].device
    run = max(isqrt(call.batch * call.heads * bins * call.queries // COUNTERS), 1)
    runs = triton.cdiv(call.queries, run)
    counters = call.batch * call.heads * bins * runs
    table = torch.zeros(counters + 1, dtype=torch.int32, device=device)
    records = torch.empty(total, 4, dtype=torch.int64 if wide else torch.int32, device=device)
    block = INTERPRETED_THREADS if interpreted() else THREADS
    blocks = triton.cdiv(runs * call.heads * call.levels, block)
    per_level = call.points // call.levels
    for place in (False, True):
        kernels.sort_kernel[(call.batch * blocks,)](
            *call.tensors, table, records, call.queries, bins, run, runs,
            M=call.heads, L=call.levels, P=per_level, BIN=CHOICE.bin, BLOCK=block,
            BLOCK_P=triton.next_power_of_2(per_level),
            BLOCK_T=triton.next_power_of_2(call.points),
            PLACE=place, FUSED=call.fused, ACC=accumulator(call.exact),
            BITS=tl.int64 if wide else tl.int32, num_warps=1,
        )  # fmt: skip
        if not place:
            table.cumsum_(0)
    return table, records, runs
