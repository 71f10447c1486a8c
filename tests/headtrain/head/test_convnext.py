"""ConvNeXt layers against Transformers' with the same weights."""

import torch
from transformers import ConvNextConfig
from transformers.models.convnext.modeling_convnext import ConvNextLayer as TheirLayer

from mfd.headtrain.head.convnext import ConvNeXtLayer
from tests.builders.batches import error, randomise

NAMES = {
    "dwconv": "depthwise",
    "layernorm": "norm",
    "pwconv1": "feed_forward.linear1",
    "pwconv2": "feed_forward.linear2",
    "layer_scale_parameter": "layer_scale",
}


def test_it_computes_what_transformers_computes_with_the_same_weights() -> None:
    ours = randomise(ConvNeXtLayer(dim=12))
    theirs = TheirLayer(ConvNextConfig(), 12)
    state = ours.state_dict()
    theirs.load_state_dict(
        {name: state[name.replace(p, NAMES[p])] for name in theirs.state_dict() for p in NAMES
         if name.startswith(p)}
    )  # fmt: skip
    x = torch.randn(2, 9, 5, 12)
    expected = theirs(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    assert error(ours(x), expected) < 1e-5


def test_it_begins_as_good_as_the_identity() -> None:
    x = torch.randn(2, 9, 5, 12)
    assert error(ConvNeXtLayer(dim=12)(x), x) < 1e-5


def test_the_convolution_reads_zero_where_there_is_no_image() -> None:
    layer = randomise(ConvNeXtLayer(dim=12))
    x = torch.randn(1, 9, 8, 12)
    padding = torch.ones(1, 9, 8, dtype=torch.bool)
    padding[:, :6, :5] = False
    found = layer(x.masked_fill(padding[..., None], torch.nan), padding)
    assert error(found[:, :6, :5], layer(x[:, :6, :5])) < 1e-6
