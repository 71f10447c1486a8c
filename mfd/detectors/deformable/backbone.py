"""What the network needs of a backbone."""

from typing import ClassVar, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from mfd.detectors.keys import Renames


@runtime_checkable
class Backbone(Protocol):
    """A module that turns images into a stage-1 map and the maps of the first levels.

    Attributes:
        c1_channels: width of the stage-1 map.
        channels: widths of the level maps, finest first.
        official_names: from our names of weights to those in official checkpoints.
    """

    c1_channels: int
    channels: tuple[int, ...]
    official_names: ClassVar[Renames]

    def stage1(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C H4 W4"]: ...

    def levels(self, c1: Float[Tensor, "B C H4 W4"]) -> list[Float[Tensor, "B _C _H _W"]]: ...
