"""Heads in float32 under autocast too: 8 bits would round a box of a large image by pixels."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


def keep_heads_in_float32(model: nn.Module, heads: Collection[str]) -> None:
    """Let autocast change nothing in the model's heads, whatever it does in the rest.

    Args:
        model: a model of Transformers.
        heads: their attributes, wherever in the model, of modules or of lists of modules.
    """
    for name, module in model.named_modules():
        if _attribute(name) in heads and not isinstance(module, nn.ModuleList):
            # a wrapping module would rename the weights; a closure would not follow a copy
            module.forward = partial(_in_float32, module.forward)


def _attribute(name: str) -> str:
    """The last part of a module's name that is not a list index."""
    return next((part for part in reversed(name.split(".")) if not part.isdigit()), "")


def _in_float32(forward: Callable[..., Any], *inputs: Tensor, **named: Tensor) -> Any:
    device = next(iter((*inputs, *named.values()))).device
    with torch.autocast(device.type, enabled=False):
        return forward(*map(_widened, inputs), **{k: _widened(v) for k, v in named.items()})


def _widened(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value  # a mask stays one
