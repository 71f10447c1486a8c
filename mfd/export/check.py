"""An exported file computes what PyTorch does, to 1e-4, before it is given its name."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from mfd.errors import ExportError
from mfd.export.parts import Part

TOLERANCE = 1e-4
"""Largest difference of any number, in units of the output's largest value or of 1."""

CHECKED, TRIED = 3, 20
PERTURBATION = 1e-6

Run = Callable[..., Sequence[Tensor]]


def check_agreement(part: Part, run: Run) -> float:
    """The largest difference between PyTorch and the exported file, on several samples.

    A detector sorts scores, and where two are equal to the last digits nothing can be compared: a
    sample counts only if PyTorch's own answer stays the same when inputs change by a millionth.

    Args:
        run: the exported file as a function with the arguments of the part's module.

    Raises:
        ExportError: they differ, or no sample could be compared.
    """
    largest, compared = 0.0, 0
    for number in range(1, TRIED):
        arguments = part.sample(number)
        with torch.no_grad():
            expected = part.module(*arguments)
            again = part.module(*(_changed(argument) for argument in arguments))
        if difference(again, expected) > TOLERANCE:
            continue
        found = difference(run(*arguments), expected)
        if not found <= TOLERANCE:
            raise ExportError(
                f"the exported file differs from PyTorch by {found:.1e}, expected at most "
                f"{TOLERANCE:g}; it was not kept"
            )
        largest, compared = max(largest, found), compared + 1
        if compared == CHECKED:
            return largest
    raise ExportError(
        f"on {TRIED - 1} random inputs PyTorch's own answer changes with their last digits, so "
        "that the exported file cannot be compared; it was not kept"
    )


def difference(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The largest difference of any number; infinite where a shape or a NaN differs."""
    largest = 0.0
    for ours, theirs in zip(found, expected, strict=True):
        if ours.shape != theirs.shape:
            return torch.inf
        if theirs.numel():
            ours, theirs = ours.detach().double(), theirs.detach().double()
            error = (ours - theirs).abs().max() / theirs.abs().max().clamp(min=1)
            largest = max(largest, float(error) if error.isfinite() else torch.inf)
    return largest


def _changed(argument: Any) -> Any:
    """The argument, its numbers larger by a millionth."""
    if isinstance(argument, list):
        return [_changed(each) for each in argument]
    return argument * (1 + PERTURBATION) if argument.is_floating_point() else argument
