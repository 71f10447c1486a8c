from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.runs.run import Run
from mfd.headtrain.sources.stored import StoredSource
from mfd.headtrain.training import loop as training_loop
from mfd.headtrain.training.average import WeightAverage
from mfd.headtrain.training.train import train
from tests.builders.runs import HEAD, SPEC, TRAIN, make_run

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_average_forgets_by_its_decay() -> None:
    head = MaskHead(HEAD, SPEC)
    average = WeightAverage(head, decay=0.75)
    values, expected = [2.0, -1.0, 5.0, 0.5], 2.0
    for value in values:
        with torch.no_grad():
            for parameter in head.parameters():
                parameter.fill_(value)
        average.update(head)
        expected = 0.75 * expected + 0.25 * value
    for parameter in average.head.parameters():
        assert torch.allclose(parameter, torch.tensor(expected))


def test_the_trained_head_is_the_average_of_all_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the weights of every step, kept and averaged in float64."""
    steps: list[dict[str, torch.Tensor]] = []
    taken = training_loop.train_step

    def keep(head: MaskHead, *arguments: object) -> object:
        result = taken(head, *arguments)  # type: ignore[arg-type]
        steps.append({name: p.detach().double() for name, p in head.named_parameters()})
        return result

    monkeypatch.setattr(training_loop, "train_step", keep)
    store, targets = make_run(tmp_path)
    config = replace(TRAIN, ema_decay=0.8)
    run = Run(tmp_path / "run")
    train(HEAD, config, StoredSource(store, targets, HEAD, config), run)
    assert len(steps) == 12
    found = run.load_head().state_dict()
    last = steps[-1].items()
    assert sum(not torch.equal(found[name].double(), p) for name, p in last) > len(last) / 2
    for name, expected in steps[0].items():
        for later in steps[1:]:
            expected = 0.8 * expected + 0.2 * later[name]
        assert torch.allclose(found[name].double(), expected, rtol=1e-5, atol=1e-6)
