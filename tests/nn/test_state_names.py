"""Saved names that differ from attributes, in a module and in the whole that it is a part of."""

import copy

import pytest
import torch
from torch import nn

from mfd.nn import keep_state_names


def block() -> nn.Module:
    module = nn.Module()
    module.mix = nn.ModuleDict({"inner": nn.Linear(3, 2), "outer": nn.Linear(2, 3)})
    module.mix_norm = nn.LayerNorm(3)
    module.table = nn.Parameter(torch.randn(4))
    keep_state_names(module, {"mix.inner": "fc1", "mix_norm": "old.norm", "table": "old.table"})
    return module


SAVED = {
    "fc1.weight",
    "fc1.bias",
    "mix.outer.weight",
    "mix.outer.bias",
    "old.norm.weight",
    "old.norm.bias",
    "old.table",
}


def test_state_dict_has_the_saved_names_at_any_depth() -> None:
    assert block().state_dict().keys() == SAVED
    whole = nn.Sequential(nn.Identity(), block())
    assert whole.state_dict().keys() == {f"1.{name}" for name in SAVED}


@pytest.mark.parametrize("assign", [False, True])
def test_state_dict_loads_what_was_saved_into_the_same_places(assign: bool) -> None:
    first, second = nn.Sequential(block()), nn.Sequential(block())
    second.load_state_dict(first.state_dict(), assign=assign)
    for ours, theirs in zip(second.parameters(), first.parameters(), strict=True):
        assert ours.equal(theirs)


def test_missing_and_unknown_names_are_still_refused() -> None:
    state = block().state_dict()
    state["fc3.weight"] = state.pop("old.table")
    with pytest.raises(RuntimeError, match=r"Missing key.*table.*\n.*Unexpected key.*fc3\.weight"):
        block().load_state_dict(state)


def test_copies_keep_the_names() -> None:
    assert copy.deepcopy(block()).state_dict().keys() == SAVED
