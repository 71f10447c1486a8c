"""The image feature encoder F_e of section 3.2: refines the frozen encoder's maps.

One file for each block, named as in `mfd.headtrain.config.head.ImageEncoder`, with the function
`build(config, spec)`.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import get_args

from jaxtyping import Float, Int
from torch import Tensor, nn

from mfd.detectors import DetectorSpec
from mfd.headtrain.config.head import HeadConfig, ImageEncoder

_BUILD: Mapping[ImageEncoder, Callable[[HeadConfig, DetectorSpec], nn.Module]] = {
    name: import_module(f"{__name__}.{name}").build for name in get_args(ImageEncoder)
}


def build_image_encoder(config: HeadConfig, spec: DetectorSpec) -> nn.Module:
    """The encoder that `config` names: maps of all levels in, the finest one out."""
    return _BUILD[config.image_encoder](config, spec) if config.image_layers else FinestMap()


class FinestMap(nn.Module):
    """No encoder: the detector's finest map as it is."""

    def forward(
        self, memory: list[Float[Tensor, "B _h _w D"]], memory_hw: Int[Tensor, "B L 2"]
    ) -> Float[Tensor, "B H W D"]:
        """The first level."""
        return memory[0]
