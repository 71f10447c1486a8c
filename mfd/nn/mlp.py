"""Perceptrons: of any depth, and the two layers inside every transformer block."""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from mfd.nn.products import Linear


class MLP(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))

    def forward(self, x: Float[Tensor, "*N D"]) -> Float[Tensor, "*N E"]:
        """The last layer's output, without ReLU."""
        for layer in list(self.layers)[:-1]:
            x = layer(x).relu()
        return self.layers[-1](x)


class FeedForward(nn.Module):
    """Linear, activation, linear, without residual or norm."""

    def __init__(self, dim: int, hidden: int, activation: type[nn.Module] = nn.GELU) -> None:
        super().__init__()
        self.linear1 = Linear(dim, hidden)
        self.activation = activation()
        self.linear2 = Linear(hidden, dim)

    def forward(self, x: Float[Tensor, "*N D"]) -> Float[Tensor, "*N D"]:
        """The network at every position of `x`."""
        return self.linear2(self.activation(self.linear1(x)))
