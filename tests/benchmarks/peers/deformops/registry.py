"""The one function that is compared, with the package's arguments."""

from enum import Enum

from torch import Tensor

from benchmarks.inputs import grid_sample_attention

Backend = Enum("Backend", ["TRITON"])


def msda(
    value: Tensor,
    shapes: Tensor,
    starts: Tensor,
    locations: Tensor,
    logits: Tensor,
    *,
    softmax: bool,
    backend: Backend,
    fp32acc: bool,
) -> Tensor:
    """(B, Q, M * D)."""
    assert softmax
    assert starts.tolist() == [0, *shapes.prod(1).cumsum(0)[:-1].tolist()]
    weights = logits.softmax(-1).unflatten(-1, (len(shapes), -1))
    sizes = tuple((int(height), int(width)) for height, width in shapes)
    return grid_sample_attention(value, sizes, locations, weights).flatten(2)
