"""How the kernels become PyTorch operators.

By `torch.library.define`, because the first call of a `custom_op` imports all of `torch._dynamo`:
seconds that a command which never compiles would wait for nothing.
"""

from collections.abc import Callable
from typing import Any

import torch

NAMESPACE = "mfd"
"""Of all operators: `torch.ops.mfd`. Copies of this package in one process need one each."""


def register(
    name: str,
    schema: str,
    compute: Callable[..., Any],
    fake: Callable[..., Any],
    backward: Callable[..., Any] | None = None,
    keep: Callable[..., Any] | None = None,
) -> Any:
    """Make `torch.ops.mfd.NAME` an operator of all devices, and return it.

    Args:
        name: in the namespace.
        schema: its arguments and results.
        compute: what it does, without gradient.
        fake: results of the right shape and type from tensors without data.
        backward: the gradients of its inputs; without it, it has none.
        keep: called with what backward needs, see `torch.library.register_autograd`.
    """
    whole = f"{NAMESPACE}::{name}"
    torch.library.define(whole, schema, tags=torch.Tag.pt2_compliant_tag)
    torch.library.impl(whole, "default", compute)
    torch.library.register_fake(whole, fake)
    if backward is not None:
        torch.library.register_autograd(whole, backward, setup_context=keep)
    return getattr(operators(), name)


def operators() -> Any:
    """The namespace of all operators."""
    return getattr(torch.ops, NAMESPACE)
