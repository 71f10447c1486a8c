from pathlib import Path

import pytest
import torch
from torch import nn

from mfd.errors import TrainingError
from mfd.headtrain.training.checkpoint import Position, load_checkpoint, save_checkpoint


def network() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Sequential(nn.Linear(5, 3), nn.LayerNorm(3))
    return model, torch.optim.AdamW(model.parameters(), lr=0.1)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    optimizer.zero_grad()
    model(torch.randn(4, 5, generator=generator)).square().sum().backward()
    optimizer.step()


def test_a_loaded_network_goes_on_exactly_where_the_saved_one_does(tmp_path: Path) -> None:
    model, optimizer = network()
    step(model, optimizer, 1)
    position = Position(step=1, images=4, seconds=2.5, bytes_read=80)
    save_checkpoint(tmp_path, position, model, optimizer)
    other, other_optimizer = network()
    assert load_checkpoint(tmp_path, other, other_optimizer) == position
    for each, its_optimizer in ((model, optimizer), (other, other_optimizer)):
        step(each, its_optimizer, 2)
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_last_two_checkpoints_are_kept(tmp_path: Path) -> None:
    model, optimizer = network()
    for count in (1, 2, 11):
        save_checkpoint(tmp_path, Position(step=count), model, optimizer)
    assert sorted(f.name for f in tmp_path.iterdir()) == [
        "step-00000002.safetensors",
        "step-00000011.safetensors",
    ]
    assert load_checkpoint(tmp_path, model, optimizer) == Position(step=11)


def test_a_run_without_checkpoints_has_no_position(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "none", *network()) is None


def test_damaged_and_foreign_checkpoints_are_named(tmp_path: Path) -> None:
    model, optimizer = network()
    path = save_checkpoint(tmp_path, Position(step=3), model, optimizer)
    other = nn.Linear(2, 2)
    other_optimizer = torch.optim.AdamW(other.parameters())
    with pytest.raises(TrainingError, match=r"step-00000003.*cannot be loaded"):
        load_checkpoint(tmp_path, other, other_optimizer)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(TrainingError, match=r"step-00000003.*remove it"):
        load_checkpoint(tmp_path, model, optimizer)
