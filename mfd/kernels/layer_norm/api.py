"""LayerNorm of a sum: the public function."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import layer_norm

from mfd.errors import KernelError
from mfd.kernels.layer_norm import op


def add_layer_norm(
    x: Float[Tensor, "*N D"],
    y: Float[Tensor, "*N D"],
    weight: Float[Tensor, " D"],
    bias: Float[Tensor, " D"],
    eps: float = 1e-5,
) -> Float[Tensor, "*N D"]:
    """LayerNorm (arXiv:1607.06450) of x + y over the last axis, in the type of x.

    Sum and statistics are float32, or float64 for float64. Autocast changes nothing: each input is
    read in its own type.

    Raises:
        KernelError: if the shapes do not fit each other.
    """
    dim = x.shape[-1:]
    if x.shape != y.shape or weight.shape != dim or bias.shape != dim:
        raise KernelError(
            f"x has shape {tuple(x.shape)}, y {tuple(y.shape)}, weight {tuple(weight.shape)} and "
            f"bias {tuple(bias.shape)}; expected x and y alike, weight and bias of their last size"
        )
    if torch.compiler.is_exporting():  # programs that leave mfd know nothing of its operators
        return layer_norm(x + y, dim, weight, bias, eps)
    out, _, _ = op.add_layer_norm(x, y, weight, bias, eps)
    return out
