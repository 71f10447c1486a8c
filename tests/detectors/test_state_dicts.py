"""Weights are found wherever training tools put them, under whatever they put before the names."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mfd.detectors.state_dicts import best_fit, state_dicts

STATE = {"head.module_list.0.weight": torch.ones(2), "head.bias": torch.zeros(1)}
OTHER = {"head.module_list.0.weight": torch.zeros(2), "head.bias": torch.ones(1)}


def fit(state: Mapping[str, Tensor]) -> float:
    return len(state.keys() & STATE.keys()) / len(state.keys() | STATE.keys())


def prefixed(prefix: str) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in STATE.items()}


@pytest.mark.parametrize(
    ("content", "remark"),
    [
        (STATE, ""),
        ({"model": STATE, "epoch": 3}, ""),
        ({"state_dict": STATE}, "weights of 'state_dict'"),
        ({"ema_model": STATE}, "weights of 'ema_model'"),
        ({"ema": {"module": STATE, "updates": 7}}, "weights of 'ema.module'"),
        ({"odd": {"place": STATE}}, "weights of 'odd.place'"),
        (prefixed("module."), "weights, 'module.' removed from their names"),
        (
            {"model": prefixed("_orig_mod.module.")},
            "weights, '_orig_mod.' and 'module.' removed from their names",
        ),
        (
            {"state_dict": prefixed("detector.net.")},
            "weights of 'state_dict', 'detector.' and 'net.' removed from their names",
        ),
        (
            {"model_ema": {"n_averaged": torch.tensor(9), **prefixed("module.")}},
            "weights of 'model_ema', 'module.' removed from their names",
        ),
        (
            {"head._orig_mod.module_list.0.weight": STATE["head.module_list.0.weight"]}
            | {"head._orig_mod.bias": STATE["head.bias"]},
            "weights, '_orig_mod.' removed from their names",
        ),
    ],
)
def test_wrappings_are_taken_off_and_said(content: Any, remark: str) -> None:
    found = best_fit(content, fit)
    assert found is not None
    assert found.weights.keys() == STATE.keys()
    assert all(found.weights[name] is STATE[name] for name in STATE)
    assert found.remark == remark


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # PyTorch's own
def test_compiled_and_distributed_modules_save_what_is_taken_off() -> None:
    """The oracle is PyTorch: what its wrappers put before the names of the same module."""
    module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    wanted = module.state_dict()
    averaged = torch.optim.swa_utils.AveragedModel(torch.compile(module))

    def whole(state: Mapping[str, Tensor]) -> float:
        return float(state.keys() == wanted.keys())

    for wrapped in (torch.compile(module), nn.DataParallel(module), averaged):
        assert whole(wrapped.state_dict()) == 0
        found = best_fit({"model": wrapped.state_dict()}, whole)
        assert found is not None
        assert whole(found.weights) == 1


def test_weights_that_fit_as_they_are_come_before_those_that_need_a_change() -> None:
    content = {"model": prefixed("module."), "state_dict": OTHER}
    found = best_fit(content, fit)
    assert found is not None
    assert found.weights["head.bias"] is OTHER["head.bias"]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ({"ema_model": OTHER, "model": STATE}, "model"),
        ({"model": OTHER, "ema": {"module": STATE}}, "ema.module"),
    ],
)
def test_of_several_the_one_that_is_evaluated_is_taken(content: Any, place: str) -> None:
    found = best_fit(content, fit)
    assert found is not None
    assert found.place == place
    assert found.weights["head.bias"] is STATE["head.bias"]


def test_without_a_whole_fit_the_nearest_is_given() -> None:
    nearly = dict(list(prefixed("module.").items())[:1])
    found = best_fit({"model": {"strange": torch.zeros(1)}, "state_dict": nearly}, fit)
    assert found is not None
    assert found.weights.keys() == set(list(STATE)[:1])


@pytest.mark.parametrize("content", [{}, [1], 7, {"model": {}}, {"epoch": 3}, {1: torch.ones(1)}])
def test_what_holds_no_named_tensors_gives_none(content: Any) -> None:
    assert list(state_dicts(content)) == []
    assert best_fit(content, fit) is None
