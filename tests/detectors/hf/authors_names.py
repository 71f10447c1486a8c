"""Weights of Transformers' models as the authors of the families name and pack them.

The names go from Transformers to the authors', the other way than the code does.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_TRANSFORMER = [
    (r"^model\.backbone\.model\.", "backbone."),
    (r"^model\.encoder_input_proj\.(\d+)\.0", r"encoder.input_proj.\1.conv"),
    (r"^model\.encoder_input_proj\.(\d+)\.1", r"encoder.input_proj.\1.norm"),
    (r"^model\.decoder_input_proj\.(\d+)\.0", r"decoder.input_proj.\1.conv"),
    (r"^model\.decoder_input_proj\.(\d+)\.1", r"decoder.input_proj.\1.norm"),
    (r"^model\.encoder\.aifi", "encoder.encoder"),
    (r"^model\.encoder\.", "encoder."),
    (r"^model\.decoder\.class_embed", "decoder.dec_score_head"),
    (r"^model\.decoder\.bbox_embed", "decoder.dec_bbox_head"),
    (r"^model\.decoder\.(layers|lqe_layers)", r"decoder.decoder.\1"),
    (r"^model\.enc_output\.0", "decoder.enc_output.proj"),
    (r"^model\.enc_output\.1", "decoder.enc_output.norm"),
    (r"^model\.(enc_|decoder\.)", lambda m: "decoder.enc_" if m[1] == "enc_" else "decoder."),
    (r"(encoder\.encoder.*)\.final_layer_norm", r"\1.norm2"),
    (r"\.self_attn_layer_norm", ".norm1"),
    (r"\.encoder_attn_layer_norm", ".norm2"),
    (r"\.final_layer_norm", ".norm3"),
    (r"\.encoder_attn\.", ".cross_attn."),
    (r"\.mlp\.(fc1|layers\.0)", ".linear1"),
    (r"\.mlp\.(fc2|layers\.1)", ".linear2"),
    (r"\.o_proj", ".out_proj"),
    (r"\.n_points_scale", ".num_points_scale"),
]
_TO_AUTHORS: dict[str, list[tuple[str, Any]]] = {
    "resnet": [
        *_TRANSFORMER,
        (r"embedder\.embedder\.(\d)", lambda m: f"conv1.conv1_{int(m[1]) + 1}"),
        (r"encoder\.stages\.(\d+)\.layers\.(\d+)", r"res_layers.\1.blocks.\2"),
        (r"\.layer\.(\d)\.", lambda m: f".branch2{'abc'[int(m[1])]}."),
        (r"shortcut\.1\.", "short.conv."),
        (r"shortcut", "short"),
        (r"convolution", "conv"),
        (r"normalization", "norm"),
    ],
    "hgnet": [
        *_TRANSFORMER,
        (r"^backbone\.embedder", "backbone.stem"),
        (r"^backbone\.encoder", "backbone"),
        (r"convolution", "conv"),
        (r"normalization", "bn"),
        (r"downsample_convs\.(\d+)\.conv", r"downsample_convs.\1.0.cv"),
        (r"(_blocks\.\d+)\.csp_rep1", r"\1.cv2.0"),
        (r"(_blocks\.\d+)\.csp_rep2", r"\1.cv3.0"),
        (r"(_blocks\.\d+)\.conv([23])", r"\1.cv\2.1"),
        (r"(_blocks\.\d+)\.conv([14])", r"\1.cv\2"),
    ],
    "vit": [
        (r"^model\.backbone\.backbone", "backbone.0.encoder.encoder"),
        (r"^model\.backbone\.projector\.layer_norm", "backbone.0.projector.stages.0.1"),
        (r"^model\.backbone\.projector\.projector_layer", "backbone.0.projector.stages.0.0"),
        (r"(stages\.0\.0.*conv\d)\.norm", r"\1.bn"),
        (r"(stages\.0\.0)\.bottlenecks", r"\1.m"),
        (r"(stages\.0\.0.*)\.conv(\d)\.", r"\1.cv\2."),
        (r"attention\.o_proj", "attention.output.dense"),
        (r"(encoder\.layer\..*attention)\.q_proj", r"\1.attention.query"),
        (r"(encoder\.layer\..*attention)\.k_proj", r"\1.attention.key"),
        (r"(encoder\.layer\..*attention)\.v_proj", r"\1.attention.value"),
        (r"^model\.reference_point_embed", "refpoint_embed"),
        (r"^model\.query_feat", "query_feat"),
        (r"^model\.decoder\.layernorm", "transformer.decoder.norm"),
        (r"^model\.", "transformer."),
        (r"\.self_attn_layer_norm", ".norm1"),
        (r"\.cross_attn_layer_norm", ".norm2"),
        (r"(decoder\.layers\.\d+)\.layer_norm", r"\1.norm3"),
        (r"\.mlp\.fc(\d)", lambda m: f".linear{m[1]}"),
        (r"(encoder\.layer\..*)\.linear(\d)", r"\1.mlp.fc\2"),
        (r"self_attn\.o_proj", "self_attn.out_proj"),
    ],
}
_TO_AUTHORS["deimv2"] = [
    (r"^model\.conv_encoder\.encoder_input_proj", "encoder.input_proj"),
    (r"^model\.conv_encoder\.model\.", "backbone."),
    (r"^model\.conv_encoder\.backbone\.", "backbone.dinov3."),
    (r"dinov3\.embeddings\.patch_embeddings", "dinov3.patch_embed.proj"),
    (r"dinov3\.embeddings\.register_tokens", "dinov3.storage_tokens"),
    (r"dinov3\.embeddings\.", "dinov3."),
    (r"dinov3\.model\.layer", "dinov3.blocks"),
    (r"(dinov3.*)\.attention\.qkv", r"\1.attn.qkv"),
    (r"(dinov3.*)\.attention\.o_proj", r"\1.attn.proj"),
    (r"layer_scale(\d)\.lambda1", r"ls\1.gamma"),
    (r"^model\.conv_encoder\.spatial_tuning_adapter\.", "backbone.sta."),
    (r"sta\.(stem_conv|conv2)\.conv", lambda m: f"sta.{m[1].removesuffix('_conv')}.0"),
    (r"sta\.(stem_conv|conv2)\.norm", lambda m: f"sta.{m[1].removesuffix('_conv')}.1"),
    (r"sta\.(conv[34])\.conv", r"sta.\1.1"),
    (r"sta\.(conv[34])\.norm", r"sta.\1.2"),
    (r"^model\.conv_encoder\.fusion_proj\.(\d)\.conv", r"backbone.convs.\1"),
    (r"^model\.conv_encoder\.fusion_proj\.(\d)\.norm", r"backbone.norms.\1"),
    (r"down_conv(\d)\.conv", r"down_sample\1.1"),
    (r"down_conv(\d)\.norm", r"down_sample\1.2"),
    (r"bi_fusion_conv", "bi_fusion.cv"),
    (r"(layers\.\d+)\.mlp\.(w12|down_proj)", lambda m: f"{m[1]}.swish_ffn.{m[2][:3]}"),
    (r"swish_ffn\.dow", "swish_ffn.w3"),
    (r"(_blocks?.*)\.csp_rep([12])\.conv2", lambda m: f"{m[1]}.cv{int(m[2]) + 1}.1"),
    (r"(_blocks?.*)\.csp_rep([12])", lambda m: f"{m[1]}.cv{int(m[2]) + 1}.0"),
    (r"(_block(?:s\.\d)?)\.conv1", r"\1.cv1"),
    (r"(_block(?:s\.\d)?)\.conv2", r"\1.cv4"),
    (r"(decoder\.layers.*norm)\.weight", r"\1.scale"),
    *_TRANSFORMER,
    (r"^backbone\.embedder", "backbone.stem"),
    (r"^backbone\.encoder", "backbone"),
    (r"convolution", "conv"),
    (r"normalization", "bn"),
    (r"downsample_convs\.(\d+)\.conv", r"downsample_convs.\1.0.cv"),
]
_BACKBONES = {
    "rt-detr": "resnet",
    "rt-detr-v2": "resnet",
    "d-fine": "hgnet",
    "rf-detr": "vit",
    "deimv2": "deimv2",
}
_PACKED = [  # the parts of what authors keep in one tensor, and its name
    (r"(.*(?:aifi|decoder\.layers).*self_attn)\.", ("q_proj", "k_proj", "v_proj"), "in_proj_"),
    (r"(.*conv_encoder\.backbone.*attention)\.", ("q_proj", "k_proj", "v_proj"), "qkv."),
    (r"(.*decoder\.layers.*mlp)\.", ("gate_proj", "up_proj"), "w12."),
]


def as_authors_save(name: str, model: Any) -> dict[str, Tensor]:
    """The weights of the model under the names that its authors gave them, projections packed."""
    weights = {k: v for k, v in model.state_dict().items() if not _is_copy(name, k)}
    state: dict[str, Tensor] = {}
    for key, value in weights.items():
        key, value = _packed(weights, key)
        for pattern, replacement in _TO_AUTHORS[_BACKBONES[name.split("/")[0]]] if key else []:
            key = re.sub(pattern, replacement, key)
        if name == "rt-detr":  # the first version numbers what the second names
            key = re.sub(r"(input_proj\.\d+|enc_output)\.(conv|proj)", r"\1.0", key)
            key = re.sub(r"(input_proj\.\d+|enc_output)\.norm", r"\1.1", key)
        state[key] = value.clone()
    state.pop("", None)
    if name != "rf-detr":  # one anchor for each cell of the maps
        cells = (0 if name == "deimv2/lite" else 16**2) + 8**2 + 4**2
        state["decoder.anchors"] = torch.zeros(1, cells, 4)
        state["decoder.valid_mask"] = torch.ones(1, cells, 1)
    return _as_vits_are_saved(name, state)


def _packed(weights: Mapping[str, Tensor], key: str) -> tuple[str, Tensor]:
    """The name and value that hold this weight and others; no name but for the first of them."""
    for place, parts, together in _PACKED:
        if found := re.match(rf"{place}({'|'.join(parts)})\.(.*)", key):
            values = [weights[f"{found[1]}.{part}.{found[3]}"] for part in parts]
            name = f"{found[1]}.{together}{found[3]}" if found[2] == parts[0] else ""
            return name, torch.cat(values)
    return key, weights[key]


def _as_vits_are_saved(name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """DEIMv2's vision transformers: Meta's own, or the authors' small one."""
    gated = {"gate_proj": "w1", "up_proj": "w2", "down_proj": "w3"}
    plain = {"up_proj": "fc1", "down_proj": "fc2"}
    for part, short in (gated if name == "deimv2/dinov3" else plain).items():
        state = {re.sub(rf"(dinov3.*mlp)\.{part}", rf"\1.{short}", k): v for k, v in state.items()}
    if name == "deimv2/vit":
        absent = r"dinov3\.(norm|mask_token|storage_tokens|.*\.ls\d)"
        state = {k: v for k, v in state.items() if not re.search(absent, k)}
        return {k.replace("dinov3.", "dinov3._model."): v for k, v in state.items()}
    if name == "deimv2/dinov3":
        state["backbone.dinov3.mask_token"] = state["backbone.dinov3.mask_token"][0]
        state["backbone.dinov3.rope_embed.periods"] = torch.ones(16)
        for key in [key for key in state if key.endswith("qkv.bias")]:
            queries, keys, values = torch.ones_like(state[key]).chunk(3)
            state[f"{key}_mask"] = torch.cat([queries, 0 * keys, values])
    return state


def _is_copy(name: str, key: str) -> bool:
    """What the authors' models have not.

    Transformers also names the decoder's heads at the top, where RF-DETR has its own, and it puts
    untrained layers into DEIMv2.
    """
    untrained = name.startswith("deimv2") and key.startswith("model.enc_output")
    return untrained or (name != "rf-detr" and key.startswith(("class_embed", "bbox_embed")))
