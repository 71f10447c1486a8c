"""LayerNorm behind a residual sum."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mfd.kernels import add_layer_norm


class AddLayerNorm(nn.Module):
    """`LN(x + y)` in the type of x, under autocast too: 16-bit tokens stay what they are."""

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Float[Tensor, "*N D"], y: Float[Tensor, "*N D"]) -> Float[Tensor, "*N D"]:
        """The normalised sum."""
        return add_layer_norm(x, y, self.weight, self.bias, self.eps)
