"""Swin layers on the finest map."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import pad

from mfd.detectors import DetectorSpec
from mfd.headtrain.config.head import HeadConfig
from mfd.nn import SwinLayer

WINDOW = 14
"""Side of the attention windows, pixels of the finest map."""


class SwinImageEncoder(nn.Module):
    """Swin layers on the finest level, every second one with shifted windows."""

    def __init__(self, config: HeadConfig, spec: DetectorSpec) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(
                SwinLayer(spec.dim, config.num_heads, WINDOW, shifted=bool(index % 2))
                for index in range(config.image_layers)
            )
        )

    def forward(
        self, memory: list[Float[Tensor, "B _h _w D"]], memory_hw: Int[Tensor, "B L 2"]
    ) -> Float[Tensor, "B H W D"]:
        """The refined finest level, each image cut into windows on its own; padding is zero."""
        _, height, width, _ = memory[0].shape
        refined = []
        for image, (rows, columns) in zip(memory[0], memory_hw[:, 0].tolist(), strict=True):
            own = self.layers(image[None, :rows, :columns])
            refined.append(pad(own, (0, 0, 0, width - columns, 0, height - rows)))
        return torch.cat(refined)


build = SwinImageEncoder
