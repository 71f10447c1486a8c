"""Processes that work as one: how they were started, where they meet, what they tell each other.

A launcher such as torchrun starts the same command several times, each with its RANK below
WORLD_SIZE. In a process that was started alone, rank 0 of 1, everything here is as good as absent.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from mfd.errors import ConfigError, DistributedError
from mfd.text import first_line

if TYPE_CHECKING:
    import torch

Value = TypeVar("Value")

PATIENCE = timedelta(hours=1)
"""How long a process waits for the others; rank 0 may build targets meanwhile."""

_joined = {"rank": 0, "size": 1}


def launched() -> tuple[int, int]:
    """Rank of this process and number of processes, as a launcher told; else 0 and 1.

    Raises:
        ConfigError: RANK and WORLD_SIZE are no such numbers.
    """
    texts = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    if "RANK" not in os.environ:
        return 0, 1
    if not (all(text.isdecimal() for text in texts) and int(texts[0]) < int(texts[1])):
        raise ConfigError(
            f"RANK is {texts[0]!r} and WORLD_SIZE {texts[1]!r}, expected a number from 0 and a "
            "larger one; unset both, or start mfd by torchrun"
        )
    return int(texts[0]), int(texts[1])


def local_rank() -> int:
    """Number of this process among those of its machine."""
    for name in ("LOCAL_RANK", "SLURM_LOCALID"):
        if (text := os.environ.get(name, "")).isdecimal():
            return int(text)
    return launched()[0]


def rank() -> int:
    """Of this process among those that have joined."""
    return _joined["rank"]


def size() -> int:
    """Number of processes that have joined."""
    return _joined["size"]


@contextmanager
def joined(device: "torch.device") -> Iterator[None]:
    """All launched processes together, from when the last of them has come.

    What is on the CPU goes by gloo, what is on a GPU by NCCL.

    Args:
        device: where this process computes; no other process may compute on the same GPU.

    Raises:
        ConfigError: the launcher does not say where they meet.
        DistributedError: they do not meet.
    """
    own, count = launched()
    if count == 1:
        yield
        return
    import torch
    from torch import distributed as dist

    if missing := {"MASTER_ADDR", "MASTER_PORT"} - os.environ.keys():
        raise ConfigError(
            f"WORLD_SIZE is {count}, but {' and '.join(sorted(missing))} is not set; start mfd by "
            "torchrun, or unset WORLD_SIZE and RANK"
        )
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(device)
    with _heard():
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=PATIENCE)
    _joined.update(rank=own, size=count)
    try:
        yield
        dist.destroy_process_group()  # after an error, the others may not be there to agree
    finally:
        _joined.update(rank=0, size=1)


def share(items: Sequence[Value]) -> Sequence[Value]:
    """This rank's part of the items: consecutive ones, lower ranks first; it may be empty."""
    start, stop = (len(items) * number // size() for number in (rank(), rank() + 1))
    return items[start:stop]


def totals(*values: float) -> list[float]:
    """The sum of each value over all ranks; exact for whole numbers below 2^53."""
    if size() == 1:
        return list(values)
    import torch
    from torch import distributed as dist

    sums = torch.tensor(values, dtype=torch.float64)
    with _heard():
        dist.all_reduce(sums)
    return sums.tolist()


def sum_gradients(parameters: Iterable["torch.Tensor"], further: "torch.Tensor") -> "torch.Tensor":
    """Add up every parameter's gradient over all ranks, all of them in one buffer.

    A parameter without a gradient on any rank stays without.

    Args:
        further: numbers on the same device, to be added up along with them; their sums are
            returned.
    """
    if size() == 1:
        return further
    import torch
    from torch import distributed as dist

    every = list(parameters)
    found = totals(*(parameter.grad is not None for parameter in every))
    reached = [parameter for parameter, count in zip(every, found, strict=True) if count]
    pieces = [torch.zeros_like(p) if p.grad is None else p.grad for p in reached]
    flat = torch.cat([*(piece.flatten() for piece in pieces), further.flatten()])
    with _heard():
        dist.all_reduce(flat)
    *sums, last = flat.split([*(piece.numel() for piece in pieces), further.numel()])
    for parameter, gradient in zip(reached, sums, strict=True):
        if parameter.grad is None:
            parameter.grad = gradient.view_as(parameter)
        else:  # recorded launches find it where it was
            parameter.grad.copy_(gradient.view_as(parameter))
    return last.view_as(further)


def gathered(value: Value) -> list[Value]:
    """Every rank's value, by rank, on rank 0; nothing on the others."""
    if size() == 1:
        return [value]
    from torch import distributed as dist

    values: list[Any] | None = None if rank() else [None] * size()
    with _heard():
        dist.gather_object(value, values)
    return values or []


def from_first(make: Callable[[], Value]) -> Value:
    """What rank 0 makes, on every rank; the others wait for it."""
    value = make() if rank() == 0 else None
    if size() == 1:
        return value  # type: ignore[return-value]
    from torch import distributed as dist

    values = [value]
    with _heard():
        dist.broadcast_object_list(values, src=0)
    return values[0]  # type: ignore[return-value]


@contextmanager
def first_alone() -> Iterator[None]:
    """Rank 0 goes through the block, then the others do."""
    if rank() > 0:
        totals(0)
    yield
    if rank() == 0:
        totals(0)


def require_same(what: str, value: object) -> None:
    """Nothing, if the value is the same on all ranks.

    Raises:
        DistributedError: it is not.
    """
    if value != (there := from_first(lambda: value)):
        raise DistributedError(
            f"{what} is {value} on rank {rank()}, {there} on rank 0; all must see the same files, "
            "with the same settings"
        )


@contextmanager
def _heard() -> Iterator[None]:
    """The end of another process as one line; what the backends raise is no more than this."""
    try:
        yield
    except RuntimeError as error:
        # such as "[pair.cc:553] Connection closed by peer [10.0.0.1]:62640. This is typically ..."
        cause = re.sub(r"^\[[^]]*\] *", "", first_line(error)).split(". ")[0]
        raise DistributedError(
            f"another of the {launched()[1]} processes has ended or cannot be reached ({cause}); "
            "its own output says why; start all of them again, a training with --resume"
        ) from error
