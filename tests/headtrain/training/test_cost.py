"""What a training step launches and moves; the limits are what it needs today and only fall."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.head.neck import ChannelMoments
from mfd.headtrain.training.average import WeightAverage
from mfd.headtrain.training.loop import make_optimizer
from mfd.headtrain.training.passes import losses_of
from mfd.headtrain.training.recorded import RecordedPasses
from mfd.headtrain.training.rounded import RoundedBatches
from mfd.headtrain.training.step import train_step
from tests.builders.runs import HEAD, SPEC, TRAIN, make_batch

pytestmark = pytest.mark.usefixtures("one_thread")
LAUNCHES = {None: 477, torch.bfloat16: 598}
LAUNCHES_BESIDE_GRAPH = 51
MEGABYTES = {None: 4.54, torch.bfloat16: 3.23}
"""0.1 of it is random numbers of each box, 0.03 centring C1 in a CPU's cache."""


def launches(function: Any, args: Any, out: Any) -> bool:
    """Whether an operator needs a launch on a GPU in every version of PyTorch.

    The gradient of a slice that takes everything is a copy in 2.7; later versions leave it out.
    """
    if function == torch.ops.aten.slice_backward.default and out.shape == args[0].shape:
        return False
    return not function.is_view and function != torch.ops.aten._unsafe_view.default


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
        if launches(function, args, out):
            self.launches += 1
            tensors = [t for t in tree_leaves((args, kwargs, out)) if isinstance(t, torch.Tensor)]
            self.bytes += sum(t.numel() * t.element_size() for t in tensors)
        return out


def cost_of_a_step(autocast: torch.dtype | None) -> Count:
    """Of forward, losses and backward; the optimiser has one launch where it is fused."""
    head, batch = MaskHead(HEAD, SPEC).train(), make_batch()
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1, foreach=True)
    with Count() as count:
        train_step(head, optimizer, batch, TRAIN, 0, 9, autocast)
    return count


@pytest.mark.parametrize("autocast", LAUNCHES, ids=str)
def test_a_step_launches_no_more_than_it_did(autocast: torch.dtype | None) -> None:
    assert cost_of_a_step(autocast).launches <= LAUNCHES[autocast]


class Replayed:
    """A `Recorder` whose graphs do nothing."""

    def record(self, function: Any) -> Any:
        values = function()
        return lambda: values


def test_a_recorded_step_launches_little_besides_its_graph() -> None:
    """The optimiser's step included, and the average of weights."""
    head, batch = MaskHead(HEAD, SPEC).train(), make_batch()
    rounded = RoundedBatches(SPEC.strides, SPEC.c1_stride)
    passes = RecordedPasses(lambda b: losses_of(head, b, TRAIN, None), rounded, Replayed())
    optimizer, average = make_optimizer(head, TRAIN), WeightAverage(head, 0.9)
    for _ in range(3):
        with Count() as count:
            train_step(head, optimizer, batch, TRAIN, 0, 9, None, passes)
            average.update(head)
    assert count.launches <= LAUNCHES_BESIDE_GRAPH


@pytest.mark.parametrize("autocast", MEGABYTES, ids=str)
def test_a_step_moves_no_more_bytes_than_it_did(autocast: torch.dtype | None) -> None:
    assert cost_of_a_step(autocast).bytes <= MEGABYTES[autocast] * 1e6


class Wide(TorchDispatchMode):
    """Operators that make float32 tensors of as many rows as there are tokens.

    Attributes:
        found: name of each, and its result's shape.
    """

    def __init__(self, rows: int, widths: set[int]) -> None:
        super().__init__()
        self.rows, self.widths = rows, widths
        self.found: list[tuple[str, tuple[int, ...]]] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and tensor.dtype == torch.float32 and tensor.ndim:
                width = tensor.shape[-1]
                if width in self.widths and tensor.numel() >= self.rows * width:
                    self.found.append((str(function), tuple(tensor.shape)))
        return out


@pytest.mark.parametrize("changes", [{}, {"query_o2o": True, "mask_head": "segmenter"}], ids=str)
def test_tokens_maps_and_regions_have_16_bits_under_autocast(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In both directions; only the moments of C1, which are statistics, are taken in float32."""
    config, batch = replace(HEAD, image_layers=2, box_layers=2, **changes), make_batch((2, 1, 1))
    head = MaskHead(config, SPEC).train()
    moments = ChannelMoments.of(batch.features.c1, batch.features.c1_hw)
    monkeypatch.setattr(ChannelMoments, "of", lambda *_: moments)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    tokens = sum(maps[..., 0].numel() for maps in batch.features.memory)
    widths = {c for dim in (SPEC.dim, config.box_dim) for c in (dim, 4 * dim)} | {SPEC.c1_channels}
    batch = batch.to("cpu", torch.bfloat16)
    with Wide(tokens, widths) as wide:
        train_step(head, optimizer, batch, TRAIN, 0, 9, torch.bfloat16)
    assert wide.found == []


def test_cost_is_counted() -> None:
    x = torch.ones(5, 4)
    with Count() as count:
        (x.t() + 1).sum()
    assert (count.launches, count.bytes) == (2, 4 * (20 + 20 + 20 + 1))
