"""A small model of every family whose authors' checkpoints are read, with random weights."""

from typing import Any

import torch
import transformers

from tests.detectors.hf.tiny_models import randomise

_HYBRID = {
    "d_model": 32,
    "encoder_hidden_dim": 48,
    "encoder_ffn_dim": 40,
    "decoder_in_channels": [48] * 3,
    "decoder_layers": 2,
    "decoder_ffn_dim": 56,
    "num_denoising": 0,
    "num_queries": 300,
    "num_labels": 80,
}
_RESNET = transformers.RTDetrResNetConfig(
    hidden_sizes=[64, 128, 256, 512],
    depths=[1, 2, 1, 1],
    layer_type="basic",
    out_features=["stage2", "stage3", "stage4"],
)


def _hgnet(stages: int, out: list[int]) -> Any:
    settings = {
        "hidden_sizes": [16, 24, 32, 40],
        "depths": [1, 1, 2, 1],
        "stage_in_channels": [8, 16, 24, 32],
        "stage_mid_channels": [8, 8, 8, 8],
        "stage_out_channels": [16, 24, 32, 40],
        "stage_num_blocks": [1, 1, 2, 1],
        "stage_downsample": [False, True, True, True],
        "stage_light_block": [False, False, True, True],
        "stage_kernel_size": [3, 3, 5, 5],
        "stage_numb_of_layers": [2, 2, 3, 2],
    }
    return transformers.HGNetV2Config(
        **{name: values[:stages] for name, values in settings.items()},
        stem_channels=[3, 8, 8],
        use_learnable_affine_block=True,
        out_features=[f"stage{stage}" for stage in out],
    )


_HGNET = _hgnet(4, [2, 3, 4])
_VIT = transformers.RfDetrDinov2Config(
    hidden_size=64,
    num_hidden_layers=4,
    num_attention_heads=1,
    patch_size=16,
    image_size=128,
    num_windows=2,
    out_features=["stage2", "stage4"],
)
_DEIMV2 = {
    "encoder_hidden_dim": 48,
    "d_model": 48,
    "encoder_ffn_dim": 40,
    "decoder_in_channels": [48] * 3,
    "decoder_layers": 2,
    "decoder_ffn_dim": 56,
    "decoder_n_points": [3, 6, 2],
    "decoder_activation_function": "silu",
    "num_denoising": 0,
    "num_labels": 80,
    "depth_mult": 0.67,
    "hidden_expansion": 0.5,
    "reg_scale": 8.0,
}
_ON_DINOV3 = {
    "hidden_size": 64,
    "num_hidden_layers": 12,
    "num_attention_heads": 1,
    "intermediate_size": 72,
    "key_bias": True,
}


def _deimv2_on_vit(**backbone: Any) -> Any:
    return transformers.Deimv2Config(
        **_DEIMV2,
        backbone_config=transformers.DINOv3ViTConfig(**_ON_DINOV3, **backbone),
        encoder_in_channels=[48] * 3,
        spatial_tuning_adapter_inplanes=8,
        encoder_has_trailing_conv=False,
    )


CONFIGS: dict[str, Any] = {
    "rt-detr": transformers.RTDetrConfig(
        **_HYBRID,
        backbone_config=_RESNET,
        encoder_in_channels=[128, 256, 512],
        hidden_expansion=0.5,
    ),
    "rt-detr-v2": transformers.RTDetrV2Config(
        **_HYBRID, backbone_config=_RESNET, encoder_in_channels=[128, 256, 512], decoder_n_points=3
    ),
    "d-fine": transformers.DFineConfig(
        **_HYBRID,
        backbone_config=_HGNET,
        encoder_in_channels=[24, 32, 40],
        decoder_n_points=[3, 6, 2],
        depth_mult=0.67,
        hidden_expansion=0.5,
        reg_scale=8.0,
    ),
    "deimv2": transformers.Deimv2Config(
        **_DEIMV2, backbone_config=_HGNET, encoder_in_channels=[24, 32, 40]
    ),
    "deimv2/lite": transformers.Deimv2Config(
        **{**_DEIMV2, "decoder_in_channels": [48] * 2, "decoder_n_points": [4, 2]},
        backbone_config=_hgnet(3, [3]),
        encoder_in_channels=[32],
        feat_strides=[16],
        num_queries=80,
        num_feature_levels=2,
        encoder_type="lite",
        encoder_layers=0,
        use_gateway=False,
    ),
    "deimv2/vit": _deimv2_on_vit(
        layer_norm_eps=1e-6, apply_layernorm=False, out_features=["stage4", "stage8", "stage12"]
    ),
    "deimv2/dinov3": _deimv2_on_vit(
        use_gated_mlp=True,
        hidden_act="silu",
        num_register_tokens=3,
        out_features=["stage6", "stage9", "stage12"],
    ),
    "rf-detr": transformers.RfDetrConfig(
        backbone_config=_VIT,
        d_model=64,
        decoder_layers=2,
        decoder_ffn_dim=40,
        decoder_self_attention_heads=2,
        decoder_cross_attention_heads=4,
        decoder_n_points=2,
        num_queries=11,
        num_labels=91,
    ),
}
SIDE = 128


def build(name: str, **changes: Any) -> Any:
    family = type(CONFIGS[name])(**{**CONFIGS[name].to_dict(), **changes})
    architecture = type(family).__name__.replace("Config", "ForObjectDetection")
    torch.manual_seed(0)
    model = getattr(transformers, architecture)(family)
    randomise(model, (SIDE, SIDE), images=1)
    return model


def as_trained(model: Any, name: str) -> None:
    """Weights that the authors' vision transformers do not have, so that they change nothing."""
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if "layer_scale" in key and name == "deimv2/vit":
                value.fill_(1)
            if "conv_encoder.backbone" in key and key.endswith("k_proj.bias"):
                value.mul_(name == "deimv2/vit")
