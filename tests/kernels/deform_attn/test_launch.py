"""Launches of deformable attention write every element of what they return."""

import pytest
import torch

from mfd.kernels import ms_deform_attn_fused
from mfd.kernels.deform_attn import launch
from mfd.kernels.deform_attn.call import Call
from mfd.kernels.deform_attn.launch import Tuning
from tests.kernels.deform_attn.inputs import from_fused, fused_inputs


def test_every_element_of_attention_and_its_gradients_is_written(path: str, poisoned: None) -> None:
    shapes = torch.tensor([(3, 4), (1, 1)])  # pixels that no point reads have a gradient too
    value, _, *leaves = fused_inputs(
        torch.float32, shapes=shapes, batch=1, queries=3, heads=1, dim=5, points=1
    )
    inputs = (value, *leaves)
    ours = ms_deform_attn_fused(value, shapes, *leaves)
    theirs = from_fused(value, shapes, *leaves)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(
        torch.autograd.grad(ours.sum(), inputs), torch.autograd.grad(theirs.sum(), inputs)
    )


def test_device_takes_the_choice_of_the_latest_older_one(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {("forward", 80): Tuning(512), ("forward", 90): Tuning(2048, 64)}
    monkeypatch.setattr(launch, "TUNING", table)
    found = [launch.tuning_of("forward", capability) for capability in (75, 80, 89, 90, 120)]
    assert found == [Tuning(), Tuning(512), Tuning(512), Tuning(2048, 64), Tuning(2048, 64)]
    assert launch.tuning_of("value_grad", 90) == Tuning()
    assert launch.tile_of("forward", 32, 2, 90) == (64, {"num_warps": 8, "maxnreg": 64})
    assert launch.tile_of("forward", 32, 4, 90) == (64, {"num_warps": 16})


def test_additions_are_single_where_the_device_has_no_vectors() -> None:
    """A program's threads move one element each, so as many queries need four times the warps."""
    queries, options = launch.tile_of("value_grad", 32, 4, 90)
    older, older_options = launch.tile_of("value_grad", 32, 4, 80)
    assert queries * 32 == options["num_warps"] * 32 * 4
    assert older * 32 == older_options["num_warps"] * 32


def test_tiles_are_chosen_by_device_and_number_of_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")  # which passes for 9.0
    inputs = [t.detach() for t in fused_inputs(torch.float32)]
    points = inputs[3].numel()
    for table, chosen in (
        ({}, False), ({90: points}, True), ({90: points + 1}, False), ({100: 0}, False),
        ({80: 0, 90: points + 1}, False),
    ):  # fmt: skip
        monkeypatch.setattr(launch, "TILED", table)
        assert launch.by_tiles(Call(*inputs)) == chosen
