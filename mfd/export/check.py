"""An exported file computes what PyTorch does, to 1e-4, before it is given its name.

A detector ranks: its best tokens become queries, its best (query, category) pairs detections. Of
two scores that differ in their last digits either may come first, and all that follows is then of
another query. And a mask says where in its box an object is, so that where the object has a sharp
edge, a box that moves by a thousandth of a pixel changes a cell by more than 1e-4.

So what a file chose is compared first: the scores at the places that it ranked with PyTorch's
ranked scores, its boxes with PyTorch's. Then PyTorch takes the same places and boxes, and
everything after them is compared.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mfd.errors import ExportError
from mfd.export.parts import Part
from mfd.text import first_line

TOLERANCE = 1e-4
"""Largest difference of any number, in units of the output's largest value or of 1."""

Run = Callable[..., tuple[Sequence[Tensor], Sequence[Tensor]]]
"""An exported file: a call's answers, and the places that each `topk` in it chose, in order."""


class Ranking(TorchDispatchMode):
    """A context that notes which places each `topk` chooses, or prescribes them.

    Attributes:
        places: that were chosen.
        scores: at the prescribed places, and those that `topk` would have chosen, in pairs.
    """

    def __init__(self, prescribed: Sequence[Tensor] | None = None) -> None:
        super().__init__()
        self._prescribed = prescribed
        self.places: list[Tensor] = []
        self.scores: list[tuple[Tensor, Tensor]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        answer = func(*args, **(kwargs or {}))
        if func is not torch.ops.aten.topk.default:
            return answer
        best, places = answer
        if self._prescribed is not None:
            places = self._prescribed[len(self.places)]
            dim = args[2] if len(args) > 2 else -1
            scores = args[0].gather(dim, places)
            self.scores.append((scores, best))
            best = scores
        self.places.append(places)
        return best, places


def check_agreement(part: Part, run: Run) -> float:
    """The largest difference between PyTorch and the exported file on the part's samples.

    Raises:
        ExportError: they differ by more than 1e-4, or the file does not run on a sample.
    """
    largest = 0.0
    for arguments in part.samples:
        try:
            answers, places = run(*arguments)
        except Exception as error:
            raise ExportError(
                "the exported file does not run on other sizes than it was traced with "
                f"({type(error).__name__}: {first_line(error)}); it was not kept"
            ) from error
        named = dict(zip(part.outputs, answers, strict=True))
        taken = {name: named[name] for name in part.taken}
        with torch.no_grad(), Ranking(places) as ranking:
            expected = part.module(*arguments, **taken)
        pairs = [*zip(answers, expected, strict=True), *ranking.scores]
        largest = max(largest, *(difference(*pair) for pair in pairs))
    if not largest <= TOLERANCE:
        raise ExportError(
            f"the exported file differs from PyTorch by {largest:.1e}, expected at most "
            f"{TOLERANCE:g}; it was not kept"
        )
    return largest


def difference(found: Tensor, expected: Tensor) -> float:
    """The largest difference of any number; infinite where the shape or a NaN differs."""
    if found.shape != expected.shape:
        return torch.inf
    if not expected.numel():
        return 0.0
    found, expected = found.detach().double(), expected.detach().double()
    error = (found - expected).abs().max() / expected.abs().max().clamp(min=1)
    return float(error) if error.isfinite() else torch.inf
