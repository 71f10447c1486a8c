"""Where Transformers' DEIMv2 differs from the published network, by the published formulas."""

from typing import Any

import pytest
import torch
from torch.nn.functional import gelu, layer_norm, linear, silu

from mfd.detectors import restore_deimv2
from tests.detectors.hf.authors_models import CONFIGS, build


@pytest.fixture(scope="module")
def on_dinov3() -> Any:
    model = build("deimv2/dinov3", backbone_config=changed(hidden_act="gelu"))
    restore_deimv2(model)
    return model


def changed(**settings: Any) -> Any:
    """The vision transformer's config as DEIMv2's are published, which name no activation."""
    config = CONFIGS["deimv2/dinov3"].backbone_config
    return type(config)(**{**config.to_dict(), **settings})


def two_layers(mlp: Any, values: torch.Tensor, activation: Any) -> torch.Tensor:
    first, second = mlp.layers
    hidden = activation(linear(values, first.weight, first.bias))
    return linear(hidden, second.weight, second.bias)


def test_the_encoders_mlp_has_gelu_and_the_quality_heads_have_silu(on_dinov3: Any) -> None:
    encoder = on_dinov3.model.encoder.aifi[0].layers[0].mlp
    quality = on_dinov3.model.decoder.lqe_layers[0].reg_conf
    for mlp, activation in ((encoder, gelu), (quality, silu)):
        values = torch.randn(5, mlp.layers[0].in_features)
        torch.testing.assert_close(mlp(values), two_layers(mlp, values, activation))


def test_a_gated_mlp_of_dinov3_is_swiglu(on_dinov3: Any) -> None:
    mlp = on_dinov3.model.conv_encoder.backbone.model.layer[0].mlp
    values = torch.randn(5, 64)
    wanted = mlp.down_proj(silu(mlp.gate_proj(values)) * mlp.up_proj(values))
    torch.testing.assert_close(mlp(values), wanted)


@pytest.mark.parametrize("name", ["deimv2/vit", "deimv2/dinov3"])
def test_the_last_map_is_normed_where_all_are(name: str) -> None:
    model = build(name)
    restore_deimv2(model)
    backbone = model.model.conv_encoder.backbone
    with torch.no_grad():
        found = backbone(torch.randn(1, 3, 64, 64), output_hidden_states=True)
    last = found.hidden_states[-1][:, 1 + backbone.config.num_register_tokens :]
    if backbone.config.apply_layernorm:
        last = layer_norm(last, (64,), backbone.norm.weight, backbone.norm.bias, eps=1e-5)
    torch.testing.assert_close(found.feature_maps[-1].flatten(2).mT, last)


def test_only_sizes_whose_numbers_changed_have_a_new_version() -> None:
    versions = {name: restore_deimv2(build(name)) for name in ("deimv2", "deimv2/lite")}
    assert versions == {"deimv2": 3, "deimv2/lite": 2}
