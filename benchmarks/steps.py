"""A training step of the paper's head on random numbers: launch by launch, compiled, as graphs."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.compare import WrongResultError
from benchmarks.device import Gpu
from benchmarks.pipeline import BOXES_PER_IMAGE, random_batch
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.presets.paper import find_preset
from mfd.headtrain.presets.preset import HDETR_R50
from mfd.headtrain.training.passes import losses_of
from mfd.headtrain.training.recorded import RecordedPasses
from mfd.headtrain.training.rounded import RoundedBatches
from mfd.headtrain.training.step import train_step

OURS = ("forward_kernel", "points_grad_kernel", "value_grad_kernel", "backward_kernel")
OURS += ("sort_kernel", "tile_kernel", "taps_kernel", "layout_kernel", "mfd::")
PRODUCTS = ("gemm", "cutlass", "cublas", "nvjet", "aten::mm", "aten::addmm", "aten::bmm")
TOLERANCE = 0.02  # of losses and gradient norm in bfloat16, other kernels having other roundings
Attempt = Callable[[str, Callable[[], Any]], Any]
RECIPE = TrainConfig(lr=0.0)  # weights stay, so all ways compute the same


def head_step(device: Gpu, attempt: Attempt) -> dict[str, Any]:
    """A step of the default head at batch 8, 800 x 1333, in every way it can be taken.

    Of each way milliseconds, peak memory, launches by the program, how long they keep the device
    busy; of the first, what share of that our kernels and matrix products have. "graphs" are what
    `--set graphs=true` does; torch.compile is not used by training.

    Args:
        attempt: gives what a call returns, None if it cannot be had.
    """
    batch_size, size, config = 8, (800, 1333), find_preset("paper").config
    if device.small:
        batch_size, size, config = (
            2,
            (96, 160),
            replace(config, roi_size=8, image_layers=1, box_layers=1),
        )
    head = MaskHead(config, HDETR_R50).to(device.name)
    with torch.no_grad():  # gradients jump where points lie on pixel centres, as they do at first
        for name, parameter in head.named_parameters():
            if "sampling_offsets" in name:
                parameter.add_(torch.rand_like(parameter), alpha=0.3)
    optimizer = torch.optim.AdamW(head.parameters(), fused=device.name == "cuda")
    batch = random_batch(batch_size, size, 4 * head.config.roi_size)
    batch = batch.to(device.name, device.autocast)
    ways: dict[str, Callable[[], tuple[Any, bool]]] = {
        "launches": lambda: (head, False),
        "graphs": lambda: (head, True),
        "compiled": lambda: (torch.compile(head, backend=device.compiler), False),
        "compiled, graphs": lambda: (torch.compile(head, backend=device.compiler), True),
    }
    found: dict[str, Any] = {"batch": batch_size, "size_hw": size}
    found |= {"boxes": batch_size * BOXES_PER_IMAGE, "ways": {}}
    expected: list[Tensor] = []

    def take(way: str) -> dict[str, Any]:
        module, as_graphs = ways[way]()
        recorded = recordings(module, device) if as_graphs else None

        def step() -> Tensor:
            args = (module, optimizer, batch, RECIPE, 0, 1, device.autocast, recorded)
            return train_step(*args).values

        values = [step() for _ in range(3)]  # of graphs, the third is the second replay
        expected[:] = expected or values[:1]
        for each in values:
            if not torch.allclose(each, expected[0], rtol=TOLERANCE):
                raise WrongResultError(f"{each.tolist()} instead of {expected[0].tolist()}")
        return device.step(step, 12) | on_device(device, step)

    for way in ways:
        of_way = attempt(f"head step, {way}", lambda way=way: take(way))
        optimizer.zero_grad(set_to_none=True)
        device.clear()
        if of_way is not None:
            found["ways"][way] = of_way
    return found


def recordings(head: MaskHead, device: Gpu) -> RecordedPasses:
    """As training records them."""
    return RecordedPasses(
        lambda batch: losses_of(head, batch, RECIPE, device.autocast),
        RoundedBatches(HDETR_R50.strides, HDETR_R50.c1_stride),
        device.recorder(),
    )


def on_device(device: Gpu, step: Callable[[], Any]) -> dict[str, Any]:
    """Launches of a step, and what the device does meanwhile."""
    launched, starts = device.kernels(step)
    busy = sum(time for _, time in launched)
    shares = {}
    for label, parts in (("our kernels", OURS), ("matrix products", PRODUCTS)):
        theirs = sum(time for name, time in launched if any(part in name for part in parts))
        shares[label] = theirs / busy if busy else 0.0  # a profiler without rights sees nothing
    longest = Counter[str]()
    for name, time in launched:
        longest[name[:100]] += time
    return {
        "launches": starts,
        "kernels": len(launched),
        "busy_ms": busy,
        "shares": shares,
        "longest_ms": dict(longest.most_common(15)),
    }
