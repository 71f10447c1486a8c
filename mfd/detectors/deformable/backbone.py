"""What the network needs of a backbone."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Backbone(Protocol):
    """A module that turns images into a stage-1 map and the maps of the first levels.

    Attributes:
        c1_channels: width of the stage-1 map.
        channels: widths of the level maps, finest first.
    """

    c1_channels: int
    channels: tuple[int, ...]

    def stage1(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C H4 W4"]: ...

    def levels(self, c1: Float[Tensor, "B C H4 W4"]) -> list[Float[Tensor, "B _C _H _W"]]: ...

    @staticmethod
    def official_name(name: str) -> str: ...
