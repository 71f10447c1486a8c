"""ConvNeXt layers on the finest map."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from mfd.detectors import DetectorSpec
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.head.convnext import ConvNeXtLayer
from mfd.headtrain.head.padding import valid_pixels


class ConvNeXtImageEncoder(nn.Module):
    """ConvNeXt layers on the finest level."""

    def __init__(self, config: HeadConfig, spec: DetectorSpec) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ConvNeXtLayer(spec.dim) for _ in range(config.image_layers))

    def forward(
        self, memory: list[Float[Tensor, "B _h _w D"]], memory_hw: Int[Tensor, "B L 2"]
    ) -> Float[Tensor, "B H W D"]:
        """The refined finest level; padding holds nothing of use."""
        finest = memory[0]
        padding = ~valid_pixels(memory_hw[:, 0].to(finest.device), *finest.shape[1:3])
        for layer in self.layers:
            finest = layer(finest, padding)
        return finest


build = ConvNeXtImageEncoder
