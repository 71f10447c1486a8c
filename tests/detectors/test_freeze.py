"""Frozen means frozen, and a change of weights does not pass unnoticed."""

import pytest
import torch
from torch import nn

from mfd.detectors import freeze, stays_frozen, weights_digest
from mfd.errors import DetectorError


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5))


def test_a_frozen_module_is_in_evaluation_mode_and_asks_for_no_gradient() -> None:
    frozen = freeze(network().train())
    assert not any(module.training for module in frozen.modules())
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    with stays_frozen(frozen) as digest:
        frozen(torch.rand(1, 3, 7, 9))
    assert digest == weights_digest(frozen)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda module: module[1].train(), r"1 is in training mode.* look for train\(\)"),
        (lambda module: module[0].bias.requires_grad_(True), "0.bias requires a gradient"),
        (lambda module: module[0].weight[2, 0, 1, 1].add_(1e-6), "weights changed"),
        (lambda module: module[1].running_mean[3].add_(1e-6), "weights changed"),
    ],
)
def test_a_change_while_it_runs_is_reported(change: object, problem: str) -> None:
    module = freeze(network())
    with pytest.raises(DetectorError, match=problem), stays_frozen(module):
        change(module)


def test_an_unfrozen_module_is_refused_before_it_runs() -> None:
    with pytest.raises(DetectorError, match="training mode"), stays_frozen(network()):
        pytest.fail("the block ran")


def test_the_digest_leaves_out_what_is_no_tensor() -> None:
    class WithExtraState(nn.Linear):
        def get_extra_state(self) -> object:
            return {"calls": 7}

    plain, other = nn.Linear(3, 2), WithExtraState(3, 2)
    other.weight, other.bias = plain.weight, plain.bias
    assert "_extra_state" in other.state_dict()
    assert weights_digest(other) == weights_digest(plain)


def test_the_digest_sees_names_shapes_and_types() -> None:
    digests = set()
    for name, value in {
        "a": torch.zeros(4),
        "b": torch.zeros(4),
        "c": torch.zeros(2, 2),
        "d": torch.zeros(4, dtype=torch.float64),
    }.items():
        module = nn.Module()
        module.register_buffer("same" if name in "acd" else name, value)
        digests.add(weights_digest(module))
    assert len(digests) == 4
