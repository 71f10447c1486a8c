"""The box feature encoder F_b of section 3.3: refines the s x s region features of every box.

One file for each block, named as in `mfd.headtrain.config.head.BoxEncoder`, with the function
`build(config, dim)`.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import get_args

from torch import nn

from mfd.headtrain.config.head import BoxEncoder, HeadConfig
from mfd.headtrain.head.box_encoders.plain import PlainBoxEncoder

_BUILD: Mapping[BoxEncoder, Callable[[HeadConfig, int], nn.Module]] = {
    name: import_module(f"{__name__}.{name}").build for name in get_args(BoxEncoder)
}


def build_box_encoder(config: HeadConfig, dim: int) -> nn.Module:
    """The encoder that `config` names: `encoder(regions, layer)` runs its layer of that number.

    Layers are called one by one because the query encoder works between them.
    """
    return _BUILD[config.box_encoder](config, dim) if config.box_layers else PlainBoxEncoder([])
