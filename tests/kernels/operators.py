"""PyTorch's own check of operators."""

import warnings
from typing import Any

import torch


def opcheck(operator: Any, arguments: tuple[Any, ...], **options: Any) -> None:
    """`torch.library.opcheck`, which of every operator reads `.grad` of copies that are no leaves.

    PyTorch 2.15 warns of that.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"The \.grad attribute of a Tensor that is not a leaf")
        torch.library.opcheck(operator, arguments, **options)
