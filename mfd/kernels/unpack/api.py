"""Unpacking: codes of four bits, two in a byte, as floats."""

from jaxtyping import Float32, UInt8
from torch import Tensor

from mfd.kernels.dispatch import choose_path
from mfd.kernels.unpack import reference


def unpack(
    stored: UInt8[Tensor, "B N _P"], offset: Float32[Tensor, "B C"], scale: Float32[Tensor, "B C"]
) -> Float32[Tensor, "B N C"]:
    """`offset + code * scale`, without gradient.

    Args:
        stored: P = ceil(C / 2) bytes for every position of an image. The low four bits are the
            code of channel p, the high ones that of channel p + P.
        offset: the value of code 0, for each image and channel.
        scale: from one code to the next.
    """
    if choose_path(stored.device, scale.dtype).path == "triton":
        from mfd.kernels.unpack import launch

        return launch.forward(stored, offset, scale)
    return reference.forward(stored, offset, scale)
