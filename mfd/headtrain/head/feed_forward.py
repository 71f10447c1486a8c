"""The two-layer perceptron of every transformer and ConvNeXt block here."""

from jaxtyping import Float
from torch import Tensor, nn

EXPANSION = 4
"""Hidden width of every feed-forward network, in widths of its block."""


class FeedForward(nn.Module):
    """Linear d -> 4d, GELU, Linear 4d -> d, without residual or norm."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(dim, EXPANSION * dim)
        self.activation = nn.GELU()
        self.linear2 = nn.Linear(EXPANSION * dim, dim)

    def forward(self, x: Float[Tensor, "*N D"]) -> Float[Tensor, "*N D"]:
        """The network at every position of `x`."""
        return self.linear2(self.activation(self.linear1(x)))

    def init_xavier(self) -> None:
        """DETR's initialisation of linear layers: Xavier uniform weights."""
        nn.init.xavier_uniform_(self.linear1.weight)
        nn.init.xavier_uniform_(self.linear2.weight)
