"""RF-DETR, as the `rfdetr` package saves it."""

import math
from collections.abc import Mapping
from typing import Any

from mfd.detectors.hf.originals.original import Original, Settings, State, count
from mfd.errors import DetectorError

_BACKBONE = "backbone.0.encoder.encoder"
_GROUPS = 13  # of queries in training; the first is evaluated


def settings(state: State, training: Mapping[str, Any]) -> Settings:
    """By the shapes of the weights, and by what the training was called with where no shape tells.

    Without that, as the published sizes: Base has patches of 14 pixels, 4 x 4 windows and images of
    560 x 560; the others 16 pixels, 2 x 2 windows and images of the size of their positions.

    Raises:
        DetectorError: a projector of several scales, which Transformers does not have.
    """
    if any("projector.stages.1." in name for name in state):
        raise DetectorError(
            "the checkpoint is an RF-DETR with maps of several scales (Large of 2025), which "
            "Transformers does not have; use a size with one, such as Base, or Large of 2026"
        )
    patches = state[f"{_BACKBONE}.embeddings.patch_embeddings.projection.weight"]
    hidden, _, _, patch = patches.shape
    grid = math.isqrt(state[f"{_BACKBONE}.embeddings.position_embeddings"].shape[1] - 1)
    base = patch == 14
    stages = training.get("out_feature_indexes", [2, 5, 8, 11] if base else [3, 6, 9, 12])
    side = training.get("resolution", 560 if base else grid * patch)
    queries, width = state["query_feat.weight"].shape
    groups = training.get("group_detr", _GROUPS)
    cross_heads = training.get("ca_nheads", width // 16)
    weights = len(state["transformer.decoder.layers.0.cross_attn.attention_weights.bias"])
    config = {
        "num_labels": len(state["class_embed.bias"]),
        "backbone_config": {
            "model_type": "rf_detr_dinov2",
            "hidden_size": hidden,
            "num_hidden_layers": count(
                state, r"backbone\.0\.encoder\.encoder\.encoder\.layer\.(\d+)\."
            ),
            "num_attention_heads": hidden // 64,
            "patch_size": patch,
            "image_size": grid * patch,
            "num_windows": training.get("num_windows", 4 if base else 2),
            "out_features": [f"stage{stage}" for stage in stages],
            "use_mask_token": f"{_BACKBONE}.embeddings.mask_token" in state,
        },
        "d_model": width,
        "c2f_num_blocks": count(state, r"backbone\.0\.projector\.stages\.0\.0\.m\.(\d+)\."),
        "num_queries": queries // groups,
        "group_detr": groups,
        "decoder_layers": count(state, r"transformer\.decoder\.layers\.(\d+)\."),
        "decoder_ffn_dim": len(state["transformer.decoder.layers.0.linear1.bias"]),
        "decoder_self_attention_heads": training.get("sa_nheads", width // 32),
        "decoder_cross_attention_heads": cross_heads,
        "decoder_n_points": weights // cross_heads,
    }
    return Settings(config, (side, side), normalised=True)


RF_DETR = Original(
    model_type="rf_detr",
    source="the rfdetr package, which downloads rf-detr-*.pth",
    marks=(r"^backbone\.0\.projector\.", r"^transformer\.decoder\.", r"^refpoint_embed\.weight$"),
    settings=settings,
)
