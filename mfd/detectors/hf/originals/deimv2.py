"""DEIMv2 (arXiv:2509.20787), as `Intellindust-AI-Lab/DEIMv2` saves it: on HGNetV2 or on DINOv3."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mfd.detectors.hf.originals.d_fine import hgnet, points
from mfd.detectors.hf.originals.original import Original, Settings, State, count
from mfd.detectors.hf.originals.rt_detr import IGNORED, SHARED, image_side
from mfd.detectors.keys import Renames

_LITE = "encoder.down_sample1.1.weight"  # the encoder of two scales, for the smallest sizes
_VIT = "backbone.dinov3."
_LITE_QUERIES = {64: 100, 96: 150, 112: 200}  # Atto, Femto, Pico, by width; the others have 300

_RENAMES: Renames = (
    *SHARED,
    (r"^model\.encoder_input_proj\.(\d+)\.0\.", r"model.conv_encoder.encoder_input_proj.\1.conv."),
    (r"^model\.encoder_input_proj\.(\d+)\.1\.", r"model.conv_encoder.encoder_input_proj.\1.norm."),
    (r"^lite\.down_sample([12])\.1\.", r"lite.down_conv\1.conv."),
    (r"^lite\.down_sample([12])\.2\.", r"lite.down_conv\1.norm."),
    (r"^lite\.bi_fusion\.cv\.", "lite.bi_fusion_conv."),
    (r"^lite\.", "model.encoder."),
    (r"(aifi\..*)\.linear1\.", r"\1.mlp.layers.0."),
    (r"(aifi\..*)\.linear2\.", r"\1.mlp.layers.1."),
    (r"(downsample_convs\.\d+)\.0\.cv", r"\1.conv"),
    (r"(_blocks?.*)\.cv([23])\.0\.", lambda found: f"{found[1]}.csp_rep{int(found[2]) - 1}."),
    (r"(_blocks?.*)\.cv([23])\.1\.", lambda found: f"{found[1]}.csp_rep{int(found[2]) - 1}.conv2."),
    (r"(_blocks?.*)\.cv1\.", r"\1.conv1."),
    (r"(_blocks?.*)\.cv4\.", r"\1.conv2."),
    (r"(decoder\.layers\..*norm)\.scale$", r"\1.weight"),
    (r"\.swish_ffn\.w12\.", ".mlp.gate_up."),
    (r"\.swish_ffn\.w3\.", ".mlp.down_proj."),
    (r"^model\.backbone\.model\.(stem|stages)\.", r"model.conv_encoder.model.\1."),
    (r"(conv_encoder\.model)\.stem\.", r"\1.embedder."),
    (r"(conv_encoder\.model)\.stages\.", r"\1.encoder.stages."),
    (r"(conv_encoder\.model\..*)\.conv\.weight$", r"\1.convolution.weight"),
    (r"(conv_encoder\.model\..*)\.bn\.", r"\1.normalization."),
    (r"^model\.backbone\.model\.dinov3\.blocks\.", "model.conv_encoder.backbone.model.layer."),
    (r"^model\.backbone\.model\.dinov3\.norm\.", "model.conv_encoder.backbone.norm."),
    (r"^model\.backbone\.model\.dinov3\.", "model.conv_encoder.backbone.embeddings."),
    (r"embeddings\.patch_embed\.proj\.", "embeddings.patch_embeddings."),
    (r"embeddings\.storage_tokens", "embeddings.register_tokens"),
    (r"(layer\.\d+)\.attn\.qkv\.", r"\1.attention.qkv."),
    (r"(layer\.\d+)\.attn\.proj\.", r"\1.attention.o_proj."),
    (r"(layer\.\d+)\.ls([12])\.gamma", r"\1.layer_scale\2.lambda1"),
    (r"(layer\.\d+\.mlp)\.(fc1|w2)\.", r"\1.up_proj."),
    (r"(layer\.\d+\.mlp)\.(fc2|w3)\.", r"\1.down_proj."),
    (r"(layer\.\d+\.mlp)\.w1\.", r"\1.gate_proj."),
    (r"^model\.backbone\.model\.sta\.", "model.conv_encoder.spatial_tuning_adapter."),
    (r"(adapter)\.stem\.0\.", r"\1.stem_conv.conv."),
    (r"(adapter)\.stem\.1\.", r"\1.stem_conv.norm."),
    (r"(adapter\.conv2)\.0\.", r"\1.conv."),
    (r"(adapter\.conv2)\.1\.", r"\1.norm."),
    (r"(adapter\.conv[34])\.1\.", r"\1.conv."),
    (r"(adapter\.conv[34])\.2\.", r"\1.norm."),
    (r"^model\.backbone\.model\.convs\.(\d+)\.", r"model.conv_encoder.fusion_proj.\1.conv."),
    (r"^model\.backbone\.model\.norms\.(\d+)\.", r"model.conv_encoder.fusion_proj.\1.norm."),
)


def prepared(state: State) -> State:
    """The weights of all sizes alike: what a size does not have is there and changes nothing.

    The lite encoder gets a name of its own. Vision transformers get scales of 1, a mask token and
    no registers where they have none, and biases of keys that their mask lets through.
    """
    lite = _LITE in state
    given = {
        name.replace("encoder.", "lite.", 1)
        if lite and name.startswith("encoder.")
        else name.replace(f"{_VIT}_model.", _VIT): value
        for name, value in state.items()
    }
    return _complete_vit(given) if f"{_VIT}cls_token" in given else given


def _complete_vit(given: dict[str, Tensor]) -> dict[str, Tensor]:
    cls_token = given[f"{_VIT}cls_token"]
    width = cls_token.shape[-1]
    ones, zeros = torch.ones(width), torch.zeros(width)
    defaults = {
        "mask_token": torch.zeros_like(cls_token),
        "storage_tokens": cls_token[:, :0],
        "norm.weight": ones,
        "norm.bias": zeros,
    }
    for block in range(count(given, rf"{_VIT}blocks\.(\d+)\.")):
        defaults |= {f"blocks.{block}.ls1.gamma": ones, f"blocks.{block}.ls2.gamma": ones}
    complete = {f"{_VIT}{name}": value for name, value in defaults.items()} | given
    complete[f"{_VIT}mask_token"] = complete[f"{_VIT}mask_token"].reshape(1, 1, width)
    for name in [name for name in complete if name.endswith(".bias_mask")]:
        bias = name.removesuffix("_mask")
        complete[bias] = complete[bias] * complete.pop(name)
    return complete


def settings(state: State, training: Mapping[str, Any]) -> Settings:
    """By the shapes of the weights; what no shape tells is the same in all published configs."""
    lite, vit = _LITE in state, any(name.startswith(_VIT) for name in state)
    block = "encoder.fpn_block" if lite else "encoder.fpn_blocks.0"
    mixed = state[f"{block}.cv4.conv.weight"]
    width = mixed.shape[0]
    levels = 2 if lite else 1 + count(state, r"encoder\.lateral_convs\.(\d+)\.")
    strides = [8, 16, 32][-levels:]
    score = state["decoder.enc_score_head.weight"]
    layer = "decoder.decoder.layers.0"
    backbone = _vit(state) if vit else hgnet(state)
    if not vit:
        last = len(backbone["depths"])
        stages = [last] if lite else list(range(last + 1 - levels, last + 1))
        backbone["out_features"] = [f"stage{stage}" for stage in stages]
    widths = [width] * levels if vit else [backbone["stage_out_channels"][s - 1] for s in stages]
    config = {
        "backbone_config": backbone,
        "num_labels": score.shape[0],
        "d_model": score.shape[1],
        "encoder_type": "lite" if lite else "hybrid",
        "encoder_layers": 0 if lite else 1,
        "encoder_hidden_dim": width,
        "encoder_in_channels": widths,
        "encode_proj_layers": [levels - 1],
        "feat_strides": strides[: len(widths)],
        # half a channel more, so that rounding down gives this number of them again
        "hidden_expansion": (mixed.shape[1] - 2 * width + 0.5) / width,
        "depth_mult": count(state, rf"{block}\.cv2\.0\.bottlenecks\.(\d+)\.") / 3,
        "encoder_has_trailing_conv": f"{block}.cv2.1.conv.weight" in state,
        "num_feature_levels": levels,
        "decoder_in_channels": [width] * levels,
        "decoder_layers": count(state, r"decoder\.decoder\.layers\.(\d+)\."),
        "decoder_ffn_dim": 2 * state[f"{layer}.swish_ffn.w3.weight"].shape[1],
        "decoder_n_points": points(state[f"{layer}.cross_attn.num_points_scale"].tolist()),
        "decoder_activation_function": "silu",
        "use_gateway": f"{layer}.gateway.gate.weight" in state,
        "num_queries": _queries(state, lite, width),
        "num_denoising": 0,
        "reg_scale": float(state["decoder.reg_scale"]),
        "max_num_bins": len(state["decoder.dec_bbox_head.0.layers.2.bias"]) // 4 - 1,
    }
    if not lite:
        config["encoder_ffn_dim"] = len(state["encoder.encoder.0.layers.0.linear1.bias"])
    if vit:
        adapter = state["backbone.sta.stem.0.weight"]
        config["spatial_tuning_adapter_inplanes"] = adapter.shape[0]
    side = image_side(state, strides)
    return Settings(config, (side, side), normalised=vit)


def _queries(state: State, lite: bool, width: int) -> int:
    """As published, and not more than there are cells to start from."""
    published = _LITE_QUERIES.get(width, 300) if lite else 300
    return min(published, state["decoder.anchors"].shape[1] if "decoder.anchors" in state else 300)


def _vit(state: State) -> dict[str, Any]:
    """The vision transformer by its weights: DINOv3's, or a smaller one distilled from it."""
    dinov3 = f"{_VIT}norm.weight" in state
    prefix = _VIT if dinov3 else f"{_VIT}_model."
    patches = state[f"{prefix}patch_embed.proj.weight"]
    gated = f"{prefix}blocks.0.mlp.w1.weight" in state
    inner = state[f"{prefix}blocks.0.mlp.{'w1' if gated else 'fc1'}.weight"]
    layers = (6, 9, 12) if dinov3 else (4, 8, 12)
    return {
        "model_type": "dinov3_vit",
        "hidden_size": patches.shape[0],
        "patch_size": patches.shape[2],
        "num_attention_heads": patches.shape[0] // 64,
        "num_hidden_layers": count(state, rf"{prefix}blocks\.(\d+)\."),
        "intermediate_size": inner.shape[0],
        "use_gated_mlp": gated,
        "num_register_tokens": state[f"{prefix}storage_tokens"].shape[1] if dinov3 else 0,
        "key_bias": True,
        "layer_norm_eps": 1e-5 if dinov3 else 1e-6,
        "apply_layernorm": dinov3,
        "out_features": [f"stage{layer}" for layer in layers],
    }


DEIMV2 = Original(
    model_type="deimv2",
    source="https://github.com/Intellindust-AI-Lab/DEIMv2 (section Model Zoo)",
    marks=(r"\.swish_ffn\.w12\.", r"^decoder\.pre_bbox_head\.", r"^encoder\.(fpn|pan)_block"),
    settings=settings,
    renames=_RENAMES,
    ignored=rf"{IGNORED}|rope_embed\.periods$",
    prepared=prepared,
)
