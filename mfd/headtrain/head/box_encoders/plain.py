"""Layers that need nothing but the regions."""

from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor, nn


class PlainBoxEncoder(nn.Module):
    """Layers that need nothing but the regions."""

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, regions: Float[Tensor, "N s s D"], layer: int) -> Float[Tensor, "N s s D"]:
        """The regions after one layer."""
        return self.layers[layer](regions)
