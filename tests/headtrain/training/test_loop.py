from dataclasses import replace
from typing import Literal

import pytest
import torch

from mfd.headtrain.config.precision import autocast_dtype
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.training.loop import make_optimizer
from tests.builders.runs import TRAIN

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


def test_optimizer_is_adamw_with_the_papers_constants() -> None:
    optimizer = make_optimizer(torch.nn.Linear(3, 2), TrainConfig())
    (group,) = optimizer.param_groups
    assert type(optimizer) is torch.optim.AdamW
    assert (group["betas"], group["weight_decay"], group["lr"]) == ((0.9, 0.999), 5e-5, 1.5e-4)
