"""How the kernels become PyTorch operators.

By `torch.library.define`, because the first call of a `custom_op` imports all of `torch._dynamo`:
seconds that a command which never compiles would wait for nothing.
"""

from collections.abc import Callable
from typing import Any

import torch


def register(name: str, schema: str, compute: Callable[..., Any], fake: Callable[..., Any]) -> None:
    """Make `torch.ops.NAME` an operator of all devices.

    Args:
        name: with its namespace, such as `mfd::deform_attn`.
        schema: its arguments and results.
        compute: what it does, without gradient.
        fake: results of the right shape and type from tensors without data.
    """
    torch.library.define(name, schema, tags=torch.Tag.pt2_compliant_tag)
    torch.library.impl(name, "default", compute)
    torch.library.register_fake(name, fake)
