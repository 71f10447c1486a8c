"""ConvNeXt layers on each region."""

from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.head.box_encoders.plain import PlainBoxEncoder
from mfd.headtrain.head.convnext import ConvNeXtLayer


def build(config: HeadConfig, dim: int) -> PlainBoxEncoder:
    """As many layers as `config` says."""
    return PlainBoxEncoder(ConvNeXtLayer(dim) for _ in range(config.box_layers))
