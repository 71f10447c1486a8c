"""D-FINE (arXiv:2410.13842) and DEIM of it (arXiv:2412.04234), as their repositories save them."""

from collections.abc import Mapping
from typing import Any

from mfd.detectors.hf.originals.original import Original, Settings, State, count
from mfd.detectors.hf.originals.rt_detr import IGNORED, SHARED, shared_settings
from mfd.detectors.keys import Renames

_RENAMES: Renames = (
    *SHARED,
    (r"(layers\.\d+)\.linear1\.", r"\1.mlp.layers.0."),
    (r"(layers\.\d+)\.linear2\.", r"\1.mlp.layers.1."),
    (r"(downsample_convs\.\d+)\.0\.cv", r"\1.conv"),
    (r"(blocks\.\d+)\.cv2\.0\.", r"\1.csp_rep1."),
    (r"(blocks\.\d+)\.cv2\.1\.", r"\1.conv2."),
    (r"(blocks\.\d+)\.cv3\.0\.", r"\1.csp_rep2."),
    (r"(blocks\.\d+)\.cv3\.1\.", r"\1.conv3."),
    (r"(blocks\.\d+)\.cv([14])\.", r"\1.conv\2."),
    (r"(backbone\.model)\.stem\.", r"\1.embedder."),
    (r"(backbone\.model)\.stages\.", r"\1.encoder.stages."),
    (r"(backbone\..*)\.conv\.weight$", r"\1.convolution.weight"),
    (r"(backbone\..*)\.bn\.", r"\1.normalization."),
)


def settings(state: State, training: Mapping[str, Any]) -> Settings:
    """By the shapes of the weights; what no shape tells is the same in all published configs."""
    shared, size_hw = shared_settings(state)
    width, levels = shared["encoder_hidden_dim"], shared["num_feature_levels"]
    backbone = hgnet(state)
    inner = state["encoder.fpn_blocks.0.cv4.conv.weight"].shape[1] - 2 * width
    bottlenecks = count(state, r"encoder\.fpn_blocks\.0\.cv2\.0\.bottlenecks\.(\d+)\.")
    scales = state["decoder.decoder.layers.0.cross_attn.num_points_scale"].tolist()
    config = {
        **shared,
        "backbone_config": {
            **backbone,
            "out_features": [f"stage{stage}" for stage in range(5 - levels, 5)],
        },
        "encoder_in_channels": backbone["stage_out_channels"][-levels:],
        "hidden_expansion": inner / width,
        "depth_mult": bottlenecks / 3,
        "decoder_n_points": points(scales),
        "reg_scale": float(state["decoder.reg_scale"]),
        "max_num_bins": len(state["decoder.dec_bbox_head.0.layers.2.bias"]) // 4 - 1,
    }
    return Settings(config, size_hw)


def points(scales: list[float]) -> list[int]:
    """Points of each level, from 1 / points once for each point."""
    found, position = [], 0
    while position < len(scales):
        found.append(round(1 / scales[position]))
        position += found[-1]
    return found


def hgnet(state: State) -> dict[str, Any]:
    """HGNetV2 by its weights."""
    stages: list[dict[str, Any]] = []
    for number in range(count(state, r"backbone\.stages\.(\d+)\.")):
        stage = f"backbone.stages.{number}"
        block = f"{stage}.blocks.0"
        light = f"{block}.layers.0.conv1.conv.weight" in state
        first = state[f"{block}.layers.0.{'conv1.' if light else ''}conv.weight"]
        spatial = state[f"{block}.layers.0.{'conv2.' if light else ''}conv.weight"]
        stages.append(
            {
                "in_channels": first.shape[1],
                "mid_channels": first.shape[0],
                "out_channels": state[f"{block}.aggregation.1.conv.weight"].shape[0],
                "num_blocks": count(state, rf"{stage}\.blocks\.(\d+)\."),
                "numb_of_layers": count(state, rf"{block}\.layers\.(\d+)\."),
                "downsample": f"{stage}.downsample.conv.weight" in state,
                "light_block": light,
                "kernel_size": spatial.shape[2],
            }
        )
    widths = [stage["out_channels"] for stage in stages]
    stem = [state[f"backbone.stem.stem{part}.conv.weight"].shape[0] for part in (1, 4)]
    return {
        "model_type": "hgnet_v2",
        "stem_channels": [3, *stem],
        "hidden_sizes": widths,
        "depths": [stage["num_blocks"] for stage in stages],
        "use_learnable_affine_block": any(".lab." in name for name in state),
        **{f"stage_{field}": [stage[field] for stage in stages] for field in stages[0]},
    }


D_FINE = Original(
    model_type="d_fine",
    source="https://github.com/Peterande/D-FINE and https://github.com/Intellindust-AI-Lab/DEIM "
    "(section Model Zoo)",
    marks=(
        r"^backbone\.stem\.stem1\.",
        r"^decoder\.pre_bbox_head\.",
        r"^decoder\.enc_output\.proj\.",
    ),
    settings=settings,
    renames=_RENAMES,
    ignored=IGNORED,
)
