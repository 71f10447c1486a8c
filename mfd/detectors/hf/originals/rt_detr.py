"""RT-DETR (arXiv:2304.08069) and RT-DETRv2 (arXiv:2407.17140), as `lyuwenyu/RT-DETR` saves them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mfd.detectors.hf.originals.original import Original, Settings, State, count
from mfd.detectors.keys import Renames

SHARED: Renames = (
    (r"^backbone\.", "model.backbone.model."),
    (r"^encoder\.input_proj", "model.encoder_input_proj"),
    (r"^encoder\.encoder\.", "model.encoder.aifi."),
    (r"^encoder\.", "model.encoder."),
    (r"^decoder\.decoder\.", "model.decoder."),
    (r"^decoder\.input_proj", "model.decoder_input_proj"),
    (r"^decoder\.(enc_output|enc_score_head|enc_bbox_head)", r"model.\1"),
    (r"^decoder\.dec_score_head", "model.decoder.class_embed"),
    (r"^decoder\.dec_bbox_head", "model.decoder.bbox_embed"),
    (r"^decoder\.", "model.decoder."),
    (r"(coder_input_proj\.\d+)\.conv", r"\1.0"),
    (r"(coder_input_proj\.\d+)\.norm", r"\1.1"),
    (r"(enc_output)\.proj", r"\1.0"),
    (r"(enc_output)\.norm", r"\1.1"),
    (r"self_attn\.out_proj", "self_attn.o_proj"),
    (r"(layers\.\d+)\.cross_attn", r"\1.encoder_attn"),
    (r"(layers\.\d+)\.norm1\.", r"\1.self_attn_layer_norm."),
    (r"(aifi\.\d+\.layers\.\d+)\.norm2\.", r"\1.final_layer_norm."),
    (r"(decoder\.layers\.\d+)\.norm2\.", r"\1.encoder_attn_layer_norm."),
    (r"(decoder\.layers\.\d+)\.norm3\.", r"\1.final_layer_norm."),
)
"""What RT-DETR and D-FINE agree on."""

IGNORED = r"^decoder\.(anchors|valid_mask|denoising_class_embed)"

_RENAMES: Renames = (
    *SHARED,
    (r"(layers\.\d+)\.linear([12])\.", r"\1.mlp.fc\2."),
    (r"num_points_scale", "n_points_scale"),
    (r"\.conv1\.conv1_1\.", ".embedder.embedder.0."),
    (r"\.conv1\.conv1_2\.", ".embedder.embedder.1."),
    (r"\.conv1\.conv1_3\.", ".embedder.embedder.2."),
    (r"res_layers\.(\d+)\.blocks\.", r"encoder.stages.\1.layers."),
    (r"\.branch2a\.", ".layer.0."),
    (r"\.branch2b\.", ".layer.1."),
    (r"\.branch2c\.", ".layer.2."),
    (r"\.short\.conv\.(conv|norm)\.", r".shortcut.1.\1."),  # behind a pooling
    (r"\.short\.", ".shortcut."),
    (r"(backbone\..*)\.conv\.weight$", r"\1.convolution.weight"),
    (r"(backbone\..*)\.norm\.", r"\1.normalization."),
)


def settings(state: State, training: Mapping[str, Any]) -> Settings:
    """By the shapes of the weights; what no shape tells is the same in all published configs.

    RT-DETR-M is evaluated by three of its six decoder layers; the others are left out.
    """
    bottleneck = any("branch2c" in name for name in state)
    stages = range(count(state, r"backbone\.res_layers\.(\d+)\."))
    depths = [count(state, rf"backbone\.res_layers\.{stage}\.blocks\.(\d+)\.") for stage in stages]
    widths = [64 * 2**stage * (4 if bottleneck else 1) for stage in stages]
    shared, size_hw = shared_settings(state)
    expansion = state["encoder.fpn_blocks.0.conv1.conv.weight"].shape[0]
    expansion = expansion / shared["encoder_hidden_dim"]
    if bottleneck and expansion == 0.5 and shared["decoder_layers"] == 6:
        shared["decoder_layers"] = 3
    offsets = len(state["decoder.decoder.layers.0.cross_attn.attention_weights.bias"])
    config = {
        **shared,
        "backbone_config": {
            "model_type": "rt_detr_resnet",
            "depths": depths,
            "hidden_sizes": widths,
            "layer_type": "bottleneck" if bottleneck else "basic",
            "out_features": ["stage2", "stage3", "stage4"],
        },
        "encoder_in_channels": widths[1:],
        "hidden_expansion": expansion,
        "decoder_n_points": offsets // (8 * 3),
    }
    return Settings(config, size_hw)


def shared_settings(state: State) -> tuple[dict[str, Any], tuple[int, int]]:
    """The fields that RT-DETR and D-FINE agree on, and the size of the images."""
    levels = count(state, r"encoder\.input_proj\.(\d+)\.")
    strides = [8, 16, 32][-levels:]
    width = state["encoder.lateral_convs.0.conv.weight"].shape[0]
    score = state["decoder.enc_score_head.weight"]
    config = {
        "num_labels": score.shape[0],
        "d_model": score.shape[1],
        "encoder_hidden_dim": width,
        "encoder_ffn_dim": len(state["encoder.encoder.0.layers.0.linear1.bias"]),
        "encode_proj_layers": [levels - 1],
        "feat_strides": strides,
        "num_feature_levels": levels,
        "decoder_in_channels": [width] * levels,
        "decoder_layers": count(state, r"decoder\.decoder\.layers\.(\d+)\."),
        "decoder_ffn_dim": len(state["decoder.decoder.layers.0.linear1.bias"]),
        "num_denoising": 0,
    }
    side = image_side(state, strides)
    return config, (side, side)


def image_side(state: State, strides: Sequence[int]) -> int:
    """Of the square images, by the anchors: one for each cell of all maps. 640 without any."""
    if "decoder.anchors" not in state:
        return 640
    cells = state["decoder.anchors"].shape[1]
    return round(math.sqrt(cells / sum(stride**-2 for stride in strides)))


_MARKS = (r"^backbone\.res_layers\.", r"^encoder\.pan_blocks\.", r"^decoder\.dec_bbox_head\.")

RT_DETR = Original(
    model_type="rt_detr",
    source="https://github.com/lyuwenyu/RT-DETR (section Model Zoo)",
    marks=(*_MARKS, r"enc_output\.0\."),
    settings=settings,
    renames=_RENAMES,
    ignored=IGNORED,
)
RT_DETR_V2 = replace(RT_DETR, model_type="rt_detr_v2", marks=(*_MARKS, r"num_points_scale$"))
