"""Swin layers on each region."""

from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.head.box_encoders.plain import PlainBoxEncoder
from mfd.nn import SwinLayer

WINDOW = 8
"""Side of the attention windows, cells of a region."""


def build(config: HeadConfig, dim: int) -> PlainBoxEncoder:
    """Every second layer has shifted windows."""
    return PlainBoxEncoder(
        SwinLayer(dim, config.num_heads, WINDOW, shifted=bool(index % 2))
        for index in range(config.box_layers)
    )
