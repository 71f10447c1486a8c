"""Deformable encoder layers on each region."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.head.deformable import deformable_layer
from mfd.headtrain.head.position import pixel_centres, pixel_positions


class DeformableBoxEncoder(nn.Module):
    """Deformable encoder layers on the one map that a region is, with learned positions.

    All layers share one position embedding, as the parameter counts of table 3 show.
    """

    def __init__(self, config: HeadConfig, dim: int) -> None:
        super().__init__()
        size = config.roi_size
        self.position = nn.Parameter(torch.empty(size, size, dim))
        nn.init.trunc_normal_(self.position, std=0.02)  # [ours, ViT's]
        self.layers = nn.ModuleList(
            deformable_layer(config, dim, 1) for _ in range(config.box_layers)
        )
        shapes = torch.tensor([[size, size]])
        centres = pixel_centres(*pixel_positions(shapes, size, size))[:, :, None]  # 1, s * s, 1, 2
        self.shapes: Tensor
        self.centres: Tensor
        self.register_buffer("shapes", shapes, persistent=False)
        self.register_buffer("centres", centres, persistent=False)

    def forward(self, regions: Float[Tensor, "N s s D"], layer: int) -> Float[Tensor, "N s s D"]:
        """The regions after one layer."""
        position = self.position.flatten(0, 1)[None].to(regions)
        refined = self.layers[layer](regions.flatten(1, 2), position, self.centres, self.shapes)
        return refined.view(regions.shape)


build = DeformableBoxEncoder
