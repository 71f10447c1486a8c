"""Both ways to sum the gradient of value, by additions and by tiles: right first, then timed."""

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.cases import ATTENTION, SMALL_ATTENTION
from benchmarks.compare import GATES, WrongResultError
from benchmarks.device import Gpu
from benchmarks.inputs import AttentionCase
from benchmarks.record import relative_error
from mfd.kernels.deform_attn import launch, reference
from mfd.kernels.deform_attn.call import Call
from mfd.kernels.dispatch import interpreted

DTYPES = (torch.bfloat16, torch.float32, torch.float16)


def value_sums(device: Gpu) -> list[dict[str, Any]]:
    """Milliseconds of both, case by case; nothing without a GPU or Triton's interpreter.

    Raises:
        WrongResultError: if one is further from float64 than its type allows.
    """
    if device.name == "cpu" and not interpreted():
        return []
    rows = []
    cases = SMALL_ATTENTION if device.small else ATTENTION
    for dtype, case in itertools.product(DTYPES, cases):
        grad, *inputs = arguments(case, dtype, device.name)
        call = Call(*inputs)
        exact = reference.backward(grad.double(), inputs[0].double(), *inputs[1:], True, False)[0]
        row: dict[str, Any] = {"case": case.name, "dtype": str(dtype).removeprefix("torch.")}
        row["points"] = inputs[3].numel()
        for label, tiles in (("additions", False), ("tiles", True)):
            run = lambda call=call, grad=grad, tiles=tiles: launch.value_grad(call, grad, tiles)  # noqa: E731
            error, limit = relative_error(run(), exact), GATES[dtype][1]
            if not error <= limit:
                raise WrongResultError(
                    f"{case.name}, {dtype}: gradient of value by {label} is off by {error:.1e}, "
                    f"allowed {limit:.1e}"
                )
            row[label] = device.clock(run)["median"]
        rows.append(row)
        del grad, inputs, call, exact, run
        device.clear()
    return rows


def arguments(case: AttentionCase, dtype: torch.dtype, device: str) -> list[Tensor]:
    """The gradient of the output, value, shapes, offsets, logits and reference points."""
    made = case.make(dtype, device) | {"shapes": torch.tensor(case.shapes, device=device)}
    return [made[k] for k in ("grad", "value", "shapes", "offsets", "logits", "reference")]


def tiled_from(rows: Sequence[dict[str, Any]]) -> int | None:
    """From how many points on tiles were faster in every case; None if not even in the largest."""
    least = None
    for points, group in itertools.groupby(
        sorted(rows, key=lambda row: -row["points"]), lambda row: row["points"]
    ):
        if any(row["tiles"] >= row["additions"] for row in group):
            break
        least = points
    return least
