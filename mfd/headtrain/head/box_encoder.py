"""The box feature encoder F_b of section 3.3: refines the s x s region features of every box."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.head.convnext import ConvNeXtLayer
from mfd.headtrain.head.deformable import deformable_layer
from mfd.headtrain.head.position import pixel_centres, pixel_positions
from mfd.nn import SwinLayer

SWIN_WINDOW = 8
"""Side of the box encoder's attention windows, cells of a region."""


def build_box_encoder(config: HeadConfig, dim: int) -> nn.Module:
    """The encoder that `config` names: `encoder(regions, layer)` runs its layer of that number.

    Layers are called one by one because the query encoder works between them.
    """
    if config.box_layers and config.box_encoder == "deformable":
        return DeformableBoxEncoder(config, dim)
    if config.box_encoder == "swin":
        return PlainBoxEncoder(
            SwinLayer(dim, config.num_heads, SWIN_WINDOW, shifted=bool(index % 2))
            for index in range(config.box_layers)
        )
    return PlainBoxEncoder(ConvNeXtLayer(dim) for _ in range(config.box_layers))


class PlainBoxEncoder(nn.Module):
    """Layers that need nothing but the regions."""

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, regions: Float[Tensor, "N s s D"], layer: int) -> Float[Tensor, "N s s D"]:
        """The regions after one layer."""
        return self.layers[layer](regions)


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
        position = self.position.flatten(0, 1)[None]
        refined = self.layers[layer](regions.flatten(1, 2), position, self.centres, self.shapes)
        return refined.view(regions.shape)
