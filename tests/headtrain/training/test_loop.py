from dataclasses import replace
from typing import Literal

import pytest
import torch

from mfd.headtrain.config.precision import autocast_dtype
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.training.loop import make_optimizer
from mfd.headtrain.training.step import train_step
from tests.builders.runs import HEAD, SPEC, TRAIN, make_batch

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("precision", "device", "emulated", "expected"),
    [
        ("auto", CPU, False, None),
        ("auto", GPU, False, torch.bfloat16),
        ("auto", GPU, True, None),
        ("float32", GPU, False, None),
        ("bfloat16", CPU, False, torch.bfloat16),
    ],
)
def test_auto_is_bfloat16_on_gpus_that_compute_with_it(
    precision: Literal["auto", "float32", "bfloat16"],
    device: torch.device,
    emulated: bool,
    expected: torch.dtype | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def is_supported(*, including_emulation: bool) -> bool:
        return including_emulation or not emulated

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    assert autocast_dtype(replace(TRAIN, precision=precision), device) == expected


def test_sampling_offsets_learn_at_their_share_of_the_rate() -> None:
    """Adam's first step moves every parameter that has a gradient by its learning rate."""
    config = replace(TRAIN, offsets_lr_factor=0.1, warmup_steps=0, weight_decay=0, max_grad_norm=0)
    head = MaskHead(HEAD, SPEC).train()
    before = {name: p.detach().clone() for name, p in head.named_parameters()}
    train_step(head, make_optimizer(head, config), make_batch(), config, 0, 99, None)
    slow = set()
    for name, parameter in head.named_parameters():
        step = (parameter - before[name]).abs().max().item()
        if step > 0:
            assert step == pytest.approx(config.lr * (0.1 if "offsets" in name else 1), rel=0.02)
            slow |= {name} if "offsets" in name else set()
    assert len(slow) == 4  # weight and bias in the image and in the box encoder


def test_optimizer_is_adamw_with_the_papers_constants() -> None:
    optimizer = make_optimizer(torch.nn.Linear(3, 2), TrainConfig())
    (group,) = optimizer.param_groups
    assert type(optimizer) is torch.optim.AdamW
    assert (group["betas"], group["weight_decay"], group["lr"]) == ((0.9, 0.999), 5e-5, 1.5e-4)
