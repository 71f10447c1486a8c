"""Deformable encoder layers of the head: GELU, four times as wide inside."""

from torch import nn

from mfd.headtrain.config.head import HeadConfig
from mfd.nn import DeformableEncoderLayer


def deformable_layer(config: HeadConfig, dim: int, num_levels: int) -> DeformableEncoderLayer:
    """A layer on `num_levels` maps, initialised as Deformable DETR is."""
    layer = DeformableEncoderLayer(
        dim, config.num_heads, num_levels, config.num_points, 4 * dim, nn.GELU
    )
    for linear in (layer.feed_forward.linear1, layer.feed_forward.linear2):
        nn.init.xavier_uniform_(linear.weight)
    return layer
