"""Frozen detectors: evaluation mode, no gradients, and weights that do not change."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn

from mfd.detectors.contract import Detector
from mfd.errors import DetectorError

Module = TypeVar("Module", bound=nn.Module)


def freeze(module: Module) -> Module:
    """The same module in evaluation mode, no parameter requiring a gradient."""
    return module.eval().requires_grad_(False)


@contextmanager
def stays_frozen(detector: Detector | nn.Module) -> Iterator[str]:
    """The digest of the weights, compared with a second one when the block ends normally.

    Raises:
        DetectorError: the module is not frozen, or its weights are not what they were.
    """
    module = _module(detector)
    _check_frozen(module, "freeze the detector before it is used")
    before = weights_digest(module)
    yield before
    _check_frozen(module, "it was frozen before it ran, so look for train() or unfreezing in it")
    if (after := weights_digest(module)) != before:
        raise DetectorError(
            f"the detector's weights changed while it ran: digest {after[:16]}, expected "
            f"{before[:16]}; a frozen detector keeps no running state, so look for buffers that "
            "its forward pass updates"
        )


def _check_frozen(module: nn.Module, advice: str) -> None:
    for name, part in module.named_modules():
        if part.training:
            raise DetectorError(
                f"the detector's {name or 'root module'} is in training mode, expected eval(); "
                f"{advice}"
            )
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            raise DetectorError(
                f"the detector's parameter {name} requires a gradient, expected none; {advice}"
            )


def weights_digest(detector: Detector | nn.Module) -> str:
    """sha256, hex, over names, types, shapes and bytes of all parameters and stored buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(_module(detector).state_dict().items()):
        if not isinstance(tensor, torch.Tensor):
            continue  # what a module calls its extra state
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        raw = tensor.detach().contiguous().cpu().reshape(-1).view(torch.uint8)
        digest.update(raw.numpy().data)
    return digest.hexdigest()


def _module(detector: Detector | nn.Module) -> nn.Module:
    """The same object by its other type: Python cannot say "a module that is a `Detector`"."""
    assert isinstance(detector, nn.Module)
    return detector
