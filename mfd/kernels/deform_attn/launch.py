"""Launches the Triton kernels of multi-scale deformable attention.

Arguments are those of the operators in `op`. Tensors without elements launch nothing.
"""

from typing import NamedTuple

import torch
import triton
from torch import Tensor

from mfd.kernels.deform_attn import launch_tiles
from mfd.kernels.deform_attn import triton as kernels
from mfd.kernels.deform_attn.call import Call
from mfd.kernels.dispatch import interpreted

MAX_WARPS = 16  # of a program
COLLECTED = 16  # least columns of collected gradients: with 8 of them, 20 barriers instead of 3
INTERPRETED_QUERIES = 64  # the interpreter's cost is per program, whatever its size


class Tuning(NamedTuple):
    """What can be tuned for a device; `python -m benchmarks.tune` does.

    Attributes:
        tile: elements of a program's tile, queries by channels, as far as MAX_WARPS reach.
        registers: maximum per thread for elements of 16 bits; None leaves them to the compiler,
            as larger elements do.
    """

    tile: int = 1024
    registers: int | None = None


TUNING = {  # by `python -m benchmarks.tune` on an H200
    ("forward", 90): Tuning(tile=512),  # image encoder, batch 8: 0.68 ms instead of 0.82
    # 0.94 ms instead of 2.17 with 96 registers; 64 are enough since, without spills, and not timed
    ("points_grad", 80): Tuning(registers=64),
    ("points_grad", 90): Tuning(tile=512, registers=64),
}
"""What differs from the defaults: by kernel, and compute capability from which on it holds."""

TILED: dict[int, int] = {}
"""By compute capability from which on it holds: from how many points (B * Q * M * T) on the
gradient of value is summed by tiles instead of additions to memory. Empty until both are timed."""


def forward(
    value: Tensor, shapes: Tensor, points: Tensor, weights: Tensor, reference: Tensor | None
) -> Tensor:
    """The weighted samples (B, Q, M, D), of value's type."""
    out = value.new_empty(*weights.shape[:3], value.shape[3])
    if not out.numel() or not value.numel() or not weights.numel():
        return out.zero_()
    call = Call(value, shapes, points, weights, reference)
    block, options = _tile(call, "forward", value.element_size())
    with torch.cuda.device_of(value):
        kernels.forward_kernel[call.grid(block)](
            value.contiguous(), *call.tensors, out, **call.constants(block), **options
        )
    return out


def backward(
    grad: Tensor,
    value: Tensor,
    shapes: Tensor,
    points: Tensor,
    weights: Tensor,
    reference: Tensor | None,
    need_value: bool,
    need_points: bool,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The gradients of value, points and weights; None where they are not needed."""
    call = Call(value, shapes, points, weights, reference)
    empty = not value.numel() or not weights.numel()
    of_value = of_points = of_weights = None
    if need_value and empty:
        of_value = torch.zeros(value.shape, dtype=value.dtype, device=value.device)
    elif need_value:
        of_value = value_grad(call, grad, by_tiles(call))
    if need_points:
        make = torch.zeros if empty else torch.empty
        of_points = make(points.shape, dtype=points.dtype, device=value.device)
        of_weights = make(weights.shape, dtype=weights.dtype, device=value.device)
    if of_points is not None and not empty:
        block, options = _tile(call, "points_grad", value.element_size())
        constants = call.constants(block)
        constants["BLOCK_T"] = max(constants["BLOCK_T"], COLLECTED)
        with torch.cuda.device_of(value):
            kernels.points_grad_kernel[call.grid(block)](
                grad.contiguous(), value.contiguous(), *call.tensors, of_points, of_weights,
                **constants, **options,
            )  # fmt: skip
    return of_value, of_points, of_weights


def value_grad(call: Call, grad: Tensor, tiles: bool) -> Tensor:
    """The gradient of value (B, S, M, D), of value's type, by tiles or by additions."""
    if tiles:
        return launch_tiles.value_grad(call, grad)
    shape = (call.batch, call.area, call.heads, call.dim)
    out = torch.zeros(shape, dtype=call.exact, device=grad.device)
    block, options = _tile(call, "value_grad", out.element_size())
    with torch.cuda.device_of(grad):
        kernels.value_grad_kernel[call.grid(block)](
            grad.contiguous(), *call.tensors, out, **call.constants(block), **options
        )
    return out.to(call.dtype)


def by_tiles(call: Call) -> bool:
    """Whether to sum the gradient of value by tiles: the table says so, or two runs are to agree.

    The latter is what `torch.use_deterministic_algorithms` asks for.
    """
    if torch.are_deterministic_algorithms_enabled():
        return True
    known = [since for since in TILED if since <= call.capability]
    points = call.batch * call.queries * call.heads * call.points
    return bool(known) and points >= TILED[max(known)]


def tuning_of(kernel: str, capability: int) -> Tuning:
    """The choice for the latest capability that is not newer than the device's, 90 being 9.0."""
    known = [since for name, since in TUNING if name == kernel and since <= capability]
    return TUNING[kernel, max(known)] if known else Tuning()


def tile_of(
    kernel: str, dim: int, element_size: int, capability: int
) -> tuple[int, dict[str, int]]:
    """Queries and launch options of a program whose every thread moves at most 16 bytes of one row.

    Then the layout of loads and additions is that of the sums, and nothing travels through shared
    memory: with half the warps, the gradient of value has 127 barriers instead of none, and 12
    channels cost 255 registers instead of 64. Below compute capability 9.0 there are no additions
    of 16 bytes.
    """
    scalar = kernel == "value_grad" and capability < 90
    width = triton.next_power_of_2(dim)
    vector = 1 if scalar else min(max(16 // element_size, 1), dim & -dim)
    tile, registers = tuning_of(kernel, capability)
    warps = min(max(tile // (32 * vector), 1), MAX_WARPS)
    options = {"num_warps": warps}
    if registers is not None and element_size == 2:  # an option of NVIDIA's backend only
        options["maxnreg"] = registers
    return max(warps * 32 * vector // width, 1), options


def _tile(call: Call, kernel: str, element_size: int) -> tuple[int, dict[str, int]]:
    """Queries and options of a program that moves elements of this size, see `tile_of`."""
    if interpreted():
        return INTERPRETED_QUERIES, {"num_warps": 1}
    return tile_of(kernel, call.dim, element_size, call.capability)
