"""What a training step launches and moves; the limits are what it needs today and only fall."""

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.training.step import train_step
from tests.builders.runs import HEAD, SPEC, TRAIN, make_batch

pytestmark = pytest.mark.usefixtures("one_thread")
LAUNCHES = 517
MEGABYTES = 4.91  # 0.1 of it is random numbers of each box, 0.03 centring C1 in a CPU's cache


class Count(TorchDispatchMode):
    """Operators that are not views, and the bytes of all they read and write.

    Each is about one launch on a GPU; deformable attention and RoIAlign count as one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.launches, self.bytes = 0, 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        if not function.is_view:
            self.launches += 1
            tensors = [t for t in tree_leaves((args, kwargs, out)) if isinstance(t, torch.Tensor)]
            self.bytes += sum(t.numel() * t.element_size() for t in tensors)
        return out


def cost_of_a_step() -> Count:
    """Of forward, losses and backward; the optimiser has one launch where it is fused."""
    head, batch = MaskHead(HEAD, SPEC).train(), make_batch()
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1, foreach=True)
    with Count() as count:
        train_step(head, optimizer, batch, TRAIN, 0, 9, None)
    return count


def test_a_step_launches_no_more_than_it_did() -> None:
    assert cost_of_a_step().launches <= LAUNCHES


def test_a_step_moves_no_more_bytes_than_it_did() -> None:
    assert cost_of_a_step().bytes <= MEGABYTES * 1e6


def test_cost_is_counted() -> None:
    x = torch.ones(5, 4)
    with Count() as count:
        (x.t() + 1).sum()
    assert (count.launches, count.bytes) == (2, 4 * (20 + 20 + 20 + 1))
