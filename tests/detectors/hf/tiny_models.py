"""A small randomly initialised model of every family, saved as Transformers saves one."""

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from mfd.detectors import quiet_transformers

_WIDTH = 32
_SEQUENCE = {
    "d_model": _WIDTH,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "num_queries": 11,
}
_HYBRID = {
    "d_model": _WIDTH,
    "encoder_hidden_dim": _WIDTH,
    "encoder_in_channels": [24, 32, 40],
    "feat_strides": [8, 16, 32],
    "encoder_layers": 1,
    "encoder_ffn_dim": 48,
    "encoder_attention_heads": 4,
    "decoder_in_channels": [_WIDTH] * 3,
    "decoder_layers": 2,
    "decoder_ffn_dim": 48,
    "decoder_attention_heads": 4,
    "num_queries": 11,
    "num_denoising": 0,
    "hidden_expansion": 0.5,
}
_DEFORMABLE = {**_SEQUENCE, "num_feature_levels": 4}

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "detr": ("Detr", _SEQUENCE),
    "conditional-detr": ("ConditionalDetr", _SEQUENCE),
    "dab-detr": (
        "DabDetr",
        {key: value for key, value in _SEQUENCE.items() if key != "d_model"}
        | {"hidden_size": _WIDTH},
    ),
    "deformable-detr": ("DeformableDetr", _DEFORMABLE),
    "deformable-detr-refined": ("DeformableDetr", {**_DEFORMABLE, "with_box_refine": True}),
    "deformable-detr-two-stage": (
        "DeformableDetr",
        {
            **_DEFORMABLE,
            "with_box_refine": True,
            "two_stage": True,
            "two_stage_num_proposals": 11,
        },
    ),
    "deformable-detr-one-level": ("DeformableDetr", {**_DEFORMABLE, "num_feature_levels": 1}),
    "rt-detr": ("RTDetr", _HYBRID),
    "rt-detr-wide-encoder": (
        "RTDetr",
        {**_HYBRID, "encoder_hidden_dim": 40, "decoder_in_channels": [40] * 3},
    ),
    "rt-detr-v2": ("RTDetrV2", _HYBRID),
    "d-fine": ("DFine", _HYBRID),
    "deimv2": ("Deimv2", _HYBRID),
}
HYBRID = tuple(name for name, (_, settings) in MODELS.items() if "feat_strides" in settings)
SEQUENCE = tuple(name for name in MODELS if name not in HYBRID)


def build(name: str, num_labels: int = 5) -> Any:
    """The model, every weight random, so that no two of its parts compute the same."""
    family, settings = MODELS[name]
    stages = ["stage2", "stage3", "stage4"]
    if name in SEQUENCE and settings.get("num_feature_levels", 1) == 1:
        stages = ["stage4"]
    backbone = transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[16, 24, 32, 40],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=stages,
    )
    config = getattr(transformers, f"{family}Config")(
        backbone_config=backbone, num_labels=num_labels, **settings
    )
    torch.manual_seed(0)
    model = getattr(transformers, f"{family}ForObjectDetection")(config)
    _randomise(model)
    return model


def save(
    name: str,
    folder: Path,
    *,
    num_labels: int = 5,
    model: Any = None,
    **preprocessing: Any,
) -> str:
    """The model in `folder` with settings of its preprocessing; returns its name for mfd."""
    model = model or build(name, num_labels)
    with quiet_transformers():
        model.save_pretrained(folder)
    if not preprocessing:
        size = {"height": 96, "width": 128} if name in HYBRID else None
        preprocessing = {"size": size or {"shortest_edge": 70, "longest_edge": 128}}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return f"hf:{folder}"


def run(name: str, model: Any, batch: Tensor, padding_mask: Tensor) -> Any:
    """The model's own output, with all hidden states, computed as mfd computes: channels last."""
    masks = {} if name in HYBRID else {"pixel_mask": (~padding_mask).long()}
    with torch.no_grad():
        return model.to(memory_format=torch.channels_last)(
            pixel_values=batch.to(memory_format=torch.channels_last),
            output_hidden_states=True,
            **masks,
        )


def _randomise(model: Any) -> None:
    """Weights and running statistics that let every part of the model carry a signal."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 1.4 * parameter[0].numel() ** -0.5)
            else:
                parameter.add_(0.1 * torch.randn_like(parameter))
        for norm in norms:
            norm.momentum = 1.0  # what the last images had
        model.train()(pixel_values=torch.randn(4, 3, 96, 128))
    model.eval()
