"""A part as a program of plain PyTorch operators, its sizes open."""

import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx.experimental import _config

from mfd.errors import ExportError
from mfd.export.check import Ranking, Run
from mfd.export.operators import Gathers
from mfd.export.parts import Part
from mfd.text import first_line

FACTS_FILE = "mfd.json"


def to_program(part: Part) -> ExportedProgram:
    """The part traced by `torch.export`, without operators of mfd.

    Raises:
        ExportError: it cannot be traced.
    """
    try:
        with (
            quiet(),
            torch.no_grad(),
            _plain_attention(),
            _open_lengths(part.module),
            _general_shapes(part.module),
            Gathers(),
        ):
            return torch.export.export(
                part.module, part.example, dynamic_shapes=part.dynamic(), strict=False
            )
    except Exception as error:
        raise ExportError(
            f"torch.export cannot trace it ({type(error).__name__}: {first_line(error)})"
        ) from error


def to_bytes(program: ExportedProgram, facts: Mapping[str, Any]) -> bytes:
    """The program as `torch.export.load` reads it, with the facts in its extra file `mfd.json`."""
    file = io.BytesIO()
    with quiet():
        torch.export.save(program, file, extra_files={FACTS_FILE: json.dumps(facts)})
    return file.getvalue()


def run_bytes(content: bytes) -> Run:
    """The program in a file as a function."""
    with quiet():
        module = torch.export.load(io.BytesIO(content)).module()

    def run(*arguments: Any) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        with torch.no_grad(), Ranking() as ranking:
            answers = module(*arguments)
        return answers, ranking.places

    return run


@contextmanager
def quiet() -> Iterator[None]:
    """Without what PyTorch says of its own parts: of what it will change, and does not find."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Without PyTorch's fused operator for attention in evaluation, which no other runtime has."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def _general_shapes(module: nn.Module) -> Iterator[None]:
    """Without guards by which the program would hold for sizes like the example's alone.

    PyTorch asks of every reshape and sum whether a side may be 1, which of Swin's windows a map
    may have. Its own export to ONNX sets the same switch. Set once the open sizes are symbols:
    otherwise it opens them to 0 and 1, which convolutions then exclude by guards.
    """
    with ExitStack() as stack:
        hook = module.register_forward_pre_hook(
            lambda *_: stack.enter_context(
                _config.patch(backed_size_oblivious=True)  # type: ignore[attr-defined]
            )
        )
        stack.callback(hook.remove)
        yield


@contextmanager
def _open_lengths(module: nn.Module) -> Iterator[None]:
    """With `len` of a tensor an open size in the code of the module's parts.

    Python's own is a number, which would fix the images of a call at those of the example, as in
    RT-DETR, RT-DETRv2, D-FINE and DEIMv2 of Transformers.
    """

    def length(value: Any) -> Any:
        return value.shape[0] if isinstance(value, Tensor) and value.ndim else len(value)

    spaces = [
        vars(sys.modules[name]) for name in {type(part).__module__ for part in module.modules()}
    ]
    changed = [space for space in spaces if "len" not in space]
    for space in changed:
        space["len"] = length
    try:
        yield
    finally:
        for space in changed:
            del space["len"]
