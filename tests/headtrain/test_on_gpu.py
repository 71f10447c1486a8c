"""What only a GPU can show of training and evaluation."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mfd.headtrain.evaluation.evaluate import evaluate
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.training.step import StepWindow, train_step
from tests.builders import runs as material
from tests.builders import scenes
from tests.builders.runs import make_batch

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

DEVICE = torch.device("cuda")


@pytest.mark.parametrize("autocast", [None, torch.bfloat16], ids=str)
def test_a_step_is_not_waited_for(autocast: torch.dtype | None) -> None:
    head = MaskHead(material.HEAD, material.SPEC).to(DEVICE).train()
    optimizer = torch.optim.AdamW(head.parameters(), fused=True)
    pinned, window = make_batch().pin_memory(), StepWindow(3, DEVICE)
    try:
        for step in range(3):
            if step == 2:  # the first ones compile kernels
                torch.cuda.set_sync_debug_mode("error")
            batch = pinned.to(DEVICE)
            result = train_step(head, optimizer, batch, material.TRAIN, step, 9, autocast)
            window.add(step + 1, batch, result)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert window.close()["loss"] > 0


def test_losses_and_gradients_are_those_of_the_cpu() -> None:
    config = replace(material.HEAD, sampled_points=False)  # each device draws points of its own
    head, batch = MaskHead(config, material.SPEC).train(), make_batch()
    values = []
    for device in (torch.device("cpu"), DEVICE):
        optimizer = torch.optim.SGD(head.to(device).parameters(), lr=0.0)
        still = replace(material.TRAIN, lr=0.0)
        values.append(train_step(head, optimizer, batch.to(device), still, 0, 9, None).values.cpu())
    torch.testing.assert_close(values[1], values[0], rtol=1e-3, atol=1e-5)


def test_evaluation_finds_what_the_cpu_finds(tmp_path: Path) -> None:
    dataset = scenes.make_dataset(tmp_path)
    store = scenes.make_store(tmp_path, dataset)
    head = MaskHead(scenes.CONFIG, scenes.SPEC)
    on_cpu = evaluate(head, store, dataset)["masks"]
    on_gpu = evaluate(head.to(DEVICE), store, dataset, device=DEVICE)["masks"]
    assert on_gpu.ap == pytest.approx(on_cpu.ap, abs=0.01)
    assert on_cpu.ap is not None
