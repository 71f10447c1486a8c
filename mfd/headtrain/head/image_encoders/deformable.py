"""Deformable encoder layers over the maps of all levels."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mfd.detectors import DetectorSpec
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.head.deformable import deformable_layer
from mfd.headtrain.head.padding import valid_pixels
from mfd.headtrain.head.position import pixel_centres, pixel_positions
from mfd.nn import grid_encodings, sizes_tensor


class DeformableImageEncoder(nn.Module):
    """Deformable encoder layers over all levels, with sine positions and no level embedding."""

    def __init__(self, config: HeadConfig, spec: DetectorSpec) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            deformable_layer(config, spec.dim, len(spec.strides))
            for _ in range(config.image_layers)
        )

    def forward(
        self, memory: list[Float[Tensor, "B _h _w D"]], memory_hw: Int[Tensor, "B L 2"]
    ) -> Float[Tensor, "B H W D"]:
        """The refined finest level; padding holds nothing of use."""
        height, width, dim = memory[0].shape[1:]
        memory_hw = memory_hw.to(memory[0].device)
        sizes = [(maps.shape[1], maps.shape[2]) for maps in memory]
        shapes = sizes_tensor(sizes, memory[0].device)
        padding, centres = [], []
        for level, (rows, columns) in enumerate(sizes):
            padding.append(~valid_pixels(memory_hw[:, level], rows, columns).flatten(1))
            centres.append(pixel_positions(memory_hw[:, level], rows, columns))
        own_share = (memory_hw / shapes).flip(-1)[:, None]  # (B, 1, L, 2): image / padded map, xy
        references = torch.cat([pixel_centres(y, x) for y, x in centres], 1)[:, :, None] * own_share
        encodings = grid_encodings(centres, dim, memory[0].dtype)
        position = torch.cat([encoding.flatten(1, 2) for encoding in encodings], 1)
        tokens = torch.cat([level.flatten(1, 2) for level in memory], 1)
        is_padding = torch.cat(padding, 1)
        *inner, last = self.layers
        for layer in inner:
            tokens = layer(tokens, position, references, shapes, is_padding)
        # nothing reads the coarser levels after the last layer, so they ask nothing there
        finest = last(tokens, position, references, shapes, is_padding, queries=height * width)
        return finest.unflatten(1, (height, width))


build = DeformableImageEncoder
