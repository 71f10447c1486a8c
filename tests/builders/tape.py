"""What a CUDA graph does with launches, done with operators on a CPU."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode
from torch.utils._pytree import tree_leaves

READS = ("aten::_local_scalar_dense", "aten::lift_fresh", "aten::nonzero")
"""What no graph can hold: looking at a value, sending numbers, results of unknown size."""


class TapeRecorder:
    """A `Recorder`: operators are written down, and done again on the same memory.

    Numbers stay what they were when it was recorded, and so does every address. As with graphs,
    recording itself computes nothing: what was written to is put back, what was made is NaN.
    """

    def record(self, function: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """See `Recorder`."""
        # a CPU's shorter ways look at values; compiled programs and GPUs do not take them
        shorter = patch.object(torch.compiler, "is_compiling", lambda: True)
        with shorter, patch.object(Tensor, "tolist", _looked_at), _Tape() as tape:
            out = function()
        tape.undo()

        def replay() -> Tensor:
            tape.play()
            return out

        return replay


class _Tape(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self._calls: list[tuple[Any, Any, Any, list[Tensor]]] = []
        self._before: dict[int, tuple[Tensor, Tensor]] = {}  # what is written to, and its values

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func._schema.name not in READS, f"a graph cannot hold {func}"
        if func._schema.is_mutable:
            self._before.setdefault(id(args[0]), (args[0], args[0].clone()))
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            given = {id(tensor) for tensor in tree_leaves((args, kwargs))}
            made = [t for t in tree_leaves(out) if isinstance(t, Tensor) and id(t) not in given]
            self._calls.append((func, args, kwargs or {}, made))
        return out

    @torch.no_grad()
    def undo(self) -> None:
        for *_, made in self._calls:
            for tensor in made:
                if tensor.is_floating_point():
                    tensor.fill_(torch.nan)
        for tensor, values in self._before.values():
            tensor.copy_(values)

    @torch.no_grad()
    def play(self) -> None:
        for func, args, kwargs, made in self._calls:
            again = [t for t in tree_leaves(func(*args, **kwargs)) if isinstance(t, Tensor)]
            for tensor, new in zip(made, again, strict=False):
                tensor.copy_(new)


_tolist = Tensor.tolist


def _looked_at(tensor: Tensor) -> Any:
    """As `tolist`, but not between operators, where the tape does not see it."""
    assert _get_current_dispatch_mode() is None, "a graph cannot look at values"
    return _tolist(tensor)
