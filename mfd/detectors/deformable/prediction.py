"""Boxes in logit form, and the small networks that predict them."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mfd.nn import MLP


def box_head(dim: int) -> MLP:
    """A head of three layers for box corrections in logit form, zero until it is trained."""
    head = MLP(dim, dim, dim, 4)
    last = head.layers[-1]
    assert isinstance(last, nn.Linear)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return head


def class_head(dim: int, num_classes: int) -> nn.Linear:
    """A linear head whose scores start at 0.01, for the focal loss."""
    head = nn.Linear(dim, num_classes)
    nn.init.constant_(head.bias, -4.595)
    return head


def inverse_sigmoid(values: Float[Tensor, "*B"], eps: float) -> Float[Tensor, "*B"]:
    """log(x / (1 - x)) with both parts at least `eps`, for x in [0, 1]."""
    values = values.clamp(0.0, 1.0)
    return torch.log(values.clamp(min=eps) / (1.0 - values).clamp(min=eps))


def in_float32(head: nn.Module, queries: Float[Tensor, "*B D"]) -> Float[Tensor, "*B E"]:
    """The head's output, computed without autocast: 8 bits of a coordinate would be too few."""
    with torch.autocast(queries.device.type, enabled=False):
        return head(queries.float())
