import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from mfd.errors import TrainingError
from mfd.headtrain.training.checkpoint import Progress, load_checkpoint, save_checkpoint

Make = Callable[..., torch.optim.Optimizer]


def network(make: Make = torch.optim.AdamW) -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Sequential(nn.Linear(5, 3), nn.LayerNorm(3))
    return model, make(model.parameters(), lr=0.1)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    optimizer.zero_grad()
    model(torch.randn(4, 5, generator=generator)).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize(
    "make",
    [
        torch.optim.AdamW,
        partial(torch.optim.SGD, momentum=0.9),
        torch.optim.Adagrad,
        partial(torch.optim.RMSprop, momentum=0.5, centered=True),
    ],
)
def test_a_loaded_network_continues_exactly_as_the_saved_one(tmp_path: Path, make: Make) -> None:
    model, optimizer = network(make)
    step(model, optimizer, 1)
    progress = Progress(step=1, images=4, seconds=2.5, bytes_read=80)
    save_checkpoint(tmp_path, progress, model, optimizer)
    other, other_optimizer = network(make)
    assert load_checkpoint(tmp_path, other, other_optimizer) == progress
    for each, its_optimizer in ((model, optimizer), (other, other_optimizer)):
        step(each, its_optimizer, 2)
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_last_two_checkpoints_are_kept(tmp_path: Path) -> None:
    model, optimizer = network()
    for count in (1, 2, 11):
        save_checkpoint(tmp_path, Progress(step=count), model, optimizer)
    assert sorted(f.name for f in tmp_path.iterdir()) == [
        "step-00000002.pt",
        "step-00000011.pt",
    ]
    assert load_checkpoint(tmp_path, model, optimizer) == Progress(step=11)


def test_a_run_without_checkpoints_has_no_progress(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "none", *network()) is None


def test_damaged_and_foreign_checkpoints_are_named(tmp_path: Path) -> None:
    model, optimizer = network()
    path = save_checkpoint(tmp_path, Progress(step=3), model, optimizer)
    other = nn.Linear(2, 2)
    other_optimizer = torch.optim.AdamW(other.parameters())
    with pytest.raises(TrainingError, match=r"step-00000003.*cannot be loaded"):
        load_checkpoint(tmp_path, other, other_optimizer)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(TrainingError, match=r"step-00000003.*delete it"):
        load_checkpoint(tmp_path, model, optimizer)


def test_a_checkpoint_with_a_changed_byte_is_refused_or_the_same(tmp_path: Path) -> None:
    model, optimizer = network()
    step(model, optimizer, 1)
    path = save_checkpoint(tmp_path, Progress(step=3), model, optimizer)
    content = path.read_bytes()
    expected = {name: value.clone() for name, value in model.state_dict().items()}
    rng = random.Random(6)
    refused = 0
    for place in rng.choices(range(len(content)), k=300):
        damaged = bytearray(content)
        damaged[place] ^= rng.randrange(1, 256)
        path.write_bytes(damaged)
        other, other_optimizer = network()
        try:
            assert load_checkpoint(tmp_path, other, other_optimizer) == Progress(step=3)
        except TrainingError:
            refused += 1
        else:  # padding and what else nobody reads
            assert all(torch.equal(v, expected[k]) for k, v in other.state_dict().items())
            moments = other_optimizer.state_dict()["state"], optimizer.state_dict()["state"]
            for mine, theirs in zip(*(state.values() for state in moments), strict=True):
                assert all(torch.equal(mine[name], value) for name, value in theirs.items())
    assert refused > 100


class Intruder:
    """Runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_a_checkpoint_that_holds_code_is_refused_and_not_run(tmp_path: Path) -> None:
    model, optimizer = network()
    path = save_checkpoint(tmp_path / "c", Progress(step=3), model, optimizer)
    torch.save({"progress": Intruder(tmp_path / "was-here")}, path)
    with pytest.raises(TrainingError, match=r"step-00000003\.pt cannot be loaded"):
        load_checkpoint(tmp_path / "c", model, optimizer)
    assert not (tmp_path / "was-here").exists()


def test_a_checkpoint_of_other_content_is_refused(tmp_path: Path) -> None:
    model, optimizer = network()
    path = save_checkpoint(tmp_path, Progress(step=3), model, optimizer)
    for content in ({}, [], 3, {"progress": {"sparkle": 1}}, {"progress": None}):
        torch.save(content, path)
        with pytest.raises(TrainingError, match=r"step-00000003\.pt cannot be loaded"):
            load_checkpoint(tmp_path, model, optimizer)


def test_a_checkpoint_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "step-00000004.safetensors").touch()
    with pytest.raises(TrainingError, match=r"step-00000004.* of an earlier mfd.*another --run"):
        load_checkpoint(tmp_path, *network())


def test_progress_is_told_by_the_ledger(tmp_path: Path) -> None:
    progress = Progress(step=4, images=9, seconds=1.23456, bytes_read=77, waiting_seconds=0.25)
    entry = {"seconds": 1.235, "bytes": 77, "images": 9, "steps": 4, "waiting_seconds": 0.25}
    assert progress.to_cost() == entry
    assert Progress.from_cost({"training": entry}) == replace(progress, seconds=1.235)
    assert Progress.from_cost({}) == Progress()
