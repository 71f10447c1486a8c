"""One operation on one case: ours right first, then everybody's times and peak memory."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.device import Gpu
from benchmarks.inputs import AttentionCase, BoxCase, NormCase
from benchmarks.peers import (
    Call,
    Inputs,
    attention_calls,
    attention_inputs,
    box_calls,
    box_inputs,
    norm_calls,
)
from benchmarks.plan import Plan
from benchmarks.record import relative_error

GATES = {torch.float32: (1e-5, 1e-4), torch.bfloat16: (6e-3, 1e-2), torch.float16: (1e-3, 2e-3)}
WIDENED = ("grad", "reference", "add")


class WrongResultError(Exception):
    """Ours is further from float64 than its type allows; it is not timed."""


@dataclass(frozen=True)
class Job:
    """A case in one element type.

    Attributes:
        leaves: inputs with a gradient.
        smooth: where gradients of offsets are compared; None: everywhere.
        oracle: which of the calls is right, in float64.
    """

    name: str
    dtype: torch.dtype
    make: Callable[[], Inputs]
    calls: dict[str, Call]
    leaves: tuple[str, ...]
    smooth: Callable[[Inputs], Tensor] | None = None
    oracle: str = "grid_sample"


def attention_job(case: AttentionCase, dtype: torch.dtype, device: Gpu, compiled: bool) -> Job:
    return Job(
        case.name,
        dtype,
        lambda: attention_inputs(case, dtype, device.name),
        attention_calls(case, device.compiler if compiled else None),
        ("value", "offsets", "logits"),
        case.smooth,
    )


def box_job(case: BoxCase, dtype: torch.dtype, device: Gpu) -> Job:
    return Job(
        f"RoIAlign, {case.name}",
        dtype,
        lambda: box_inputs(case, dtype, device.name),
        box_calls(case),
        ("coarse", "add"),
    )


def norm_job(case: NormCase, dtype: torch.dtype, device: Gpu) -> Job:
    return Job(
        f"LayerNorm of a sum, {case.name}",
        dtype,
        lambda: case.make(dtype, device.name),
        norm_calls(),
        ("x", "y", "weight", "bias"),
        oracle="PyTorch",
    )


def errors(job: Job) -> list[float]:
    """Relative errors of ours, forward and gradients, against float64 on the same inputs.

    Raises:
        WrongResultError: one is too large.
    """
    inputs = job.make()
    widened = (*job.leaves, *WIDENED)
    wide = {k: v.double() if k in widened else v for k, v in inputs.items()}
    exact = forward_backward(job.calls[job.oracle], wide, job.leaves)
    ours = forward_backward(job.calls["ours"], inputs, job.leaves)
    if job.smooth is not None:
        place, keep = 1 + job.leaves.index("offsets"), job.smooth(inputs)
        exact[place], ours[place] = exact[place][keep], ours[place][keep]
    found = [relative_error(*pair) for pair in zip(ours, exact, strict=True)]
    limits = [GATES[job.dtype][0]] + [GATES[job.dtype][1]] * len(job.leaves)
    for name, error, limit in zip(("output", *job.leaves), found, limits, strict=True):
        if not error <= limit:
            raise WrongResultError(f"{name} is off by {error:.1e}, allowed {limit:.1e}")
    return found


def times(job: Job, device: Gpu, plan: Plan) -> dict[str, Any]:
    """Milliseconds of both directions and peak memory, implementation by implementation."""
    inputs = job.make()
    leaf = {k: v.detach().requires_grad_(k in job.leaves) for k, v in inputs.items()}
    wanted = [leaf[k] for k in job.leaves]
    found: dict[str, Any] = {}

    def measure(call: Call) -> dict[str, Any]:
        with torch.no_grad():
            forward = device.clock(lambda: call(leaf))
        out = call(leaf)
        backward = device.clock(
            lambda: torch.autograd.grad(out, wanted, leaf["grad"], retain_graph=True)
        )
        del out
        peak = device.peak_mb(lambda: forward_backward(call, inputs, job.leaves))
        return {"forward": forward, "backward": backward, "peak_mb": peak}

    for label, call in job.calls.items():
        name = f"{job.name}, {job.dtype}, {label}"
        numbers = plan.attempt(name, lambda call=call: measure(call))
        if numbers is not None:
            found[label] = numbers
    return found


def forward_backward(call: Call, inputs: Inputs, leaves: tuple[str, ...]) -> list[Tensor]:
    """Output and gradients."""
    leaf = {k: v.detach().requires_grad_(k in leaves) for k, v in inputs.items()}
    out = call(leaf)
    return [out, *torch.autograd.grad(out, [leaf[k] for k in leaves], leaf["grad"])]
