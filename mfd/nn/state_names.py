"""Saved names of weights that stay what they are when attributes are renamed."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn


def keep_state_names(module: nn.Module, names: Mapping[str, str]) -> None:
    """Let a module's state dict use other names than its attributes, when saved and when loaded.

    A store is bound to its detector by a digest of the weights with their names, so these outlive
    any tidying of the code.

    Args:
        module: whose state dict is concerned, as a part of another module's too.
        names: saved name of each attribute, or of a part of it ("feed_forward.linear1"), without
            the parameters' own last names.
    """
    module.register_state_dict_post_hook(partial(_rename, list(names.items())))
    back = [(saved, ours) for ours, saved in names.items()]
    module.register_load_state_dict_pre_hook(partial(_rename, back))


def _rename(
    pairs: list[tuple[str, str]], _: nn.Module, state: dict[str, Any], prefix: str, *rest: Any
) -> None:
    """Rename each first entry, and all entries below it, to the second."""
    for first, second in pairs:
        old, new = f"{prefix}{first}", f"{prefix}{second}"
        for key in [key for key in state if key == old or key.startswith(f"{old}.")]:
            state[new + key.removeprefix(old)] = state.pop(key)
