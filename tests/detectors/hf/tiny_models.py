"""A small randomly initialised model of every family, saved as Transformers saves one."""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import (
    GroundingDinoImageProcessorPil,
)
from transformers.models.grounding_dino.modeling_grounding_dino import build_label_maps

from mfd.coco import COCO_NAMES
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
_VIT = {
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "out_features": ["stage1", "stage3"],
}
_GROUPS = {
    "d_model": _WIDTH,
    "decoder_layers": 2,
    "decoder_ffn_dim": 48,
    "decoder_self_attention_heads": 4,
    "decoder_cross_attention_heads": 4,
    "decoder_n_points": 2,
    "num_queries": 11,
    "group_detr": 2,
}
_GROUNDING = {
    **_DEFORMABLE,
    "max_text_len": 200,
    "text_config": transformers.BertConfig(
        vocab_size=1200,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
    ),
}

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
    "deimv2-dinov3": (
        "Deimv2",
        {
            **_HYBRID,
            "backbone_config": transformers.DINOv3ViTConfig(
                **{**_VIT, "out_features": ["stage1", "stage2", "stage3"]},
                intermediate_size=48,
                num_register_tokens=2,
            ),
            "encoder_in_channels": [_WIDTH] * 3,
            "spatial_tuning_adapter_inplanes": 8,
        },
    ),
    "lw-detr": (
        "LwDetr",
        {
            **_GROUPS,
            "backbone_config": transformers.LwDetrViTConfig(
                **_VIT, num_windows=4, window_block_indices=[1], image_size=128
            ),
            "projector_scale_factors": [2.0, 0.5],
        },
    ),
    "rf-detr": (
        "RfDetr",
        {
            **_GROUPS,
            "backbone_config": transformers.RfDetrDinov2Config(
                **_VIT, num_windows=2, image_size=112, patch_size=14
            ),
        },
    ),
    "table-transformer": ("TableTransformer", _SEQUENCE),
    "yolos": (
        "Yolos",
        {
            "hidden_size": 24,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "intermediate_size": 40,
            "image_size": [96, 128],
            "num_detection_tokens": 11,
        },
    ),
    "grounding-dino": (
        "GroundingDino",
        {
            **_GROUNDING,
            "backbone_config": transformers.SwinConfig(
                embed_dim=8,
                depths=[1, 2, 1, 1],
                num_heads=[1, 2, 2, 4],
                window_size=3,
                out_indices=[2, 3, 4],
            ),
        },
    ),
    "mm-grounding-dino": ("MMGroundingDino", _GROUNDING),
}
SIZES = {"lw-detr": (128, 128), "rf-detr": (112, 112)}
"""Height and width of the images of families that cannot mask padding."""
SIZES |= {"yolos": (96, 128)}  # or any other, as `test_yolos` shows
SIZES |= {n: (96, 128) for n, (_, settings) in MODELS.items() if "feat_strides" in settings}
SEQUENCE = tuple(name for name in MODELS if name not in SIZES)
WITHOUT_C1 = ("lw-detr", "rf-detr", "yolos")
WINDOWED = ("grounding-dino",)
"""Swin's windows reach over an image's edge, so padding changes what they see, by design."""
PROMPTED = {name: tuple(COCO_NAMES.values()) for name in MODELS if "grounding" in name}
"""Prompts of the models that look for what a text says."""


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
    given = {"num_labels": num_labels, **copy.deepcopy(settings)}
    if name != "yolos":
        given.setdefault("backbone_config", backbone)
    config = getattr(transformers, f"{family}Config")(**given)
    torch.manual_seed(0)
    model = getattr(transformers, f"{family}ForObjectDetection")(config)
    randomise(model, SIZES.get(name, (96, 128)))
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
        if name in PROMPTED:
            tokenizer().save_pretrained(folder)
    if not preprocessing:
        size = {"shortest_edge": 70, "longest_edge": 128}
        if name in SIZES:
            size = dict(zip(("height", "width"), SIZES[name], strict=True))
        preprocessing = {"size": size}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return f"hf:{folder}"


def run(name: str, model: Any, batch: Tensor, padding_mask: Tensor) -> Any:
    """The model's own output, with all hidden states, computed as mfd computes: channels last."""
    others = {} if name in SIZES else {"pixel_mask": (~padding_mask).long()}
    if name in PROMPTED:
        others |= text_of(PROMPTED[name], len(batch))
    with torch.no_grad():
        output = model.to(memory_format=torch.channels_last)(
            pixel_values=batch.to(memory_format=torch.channels_last),
            output_hidden_states=True,
            **others,
        )
    if name == "yolos":  # a token for a class, those of the image, and queries
        tokens = output.last_hidden_state[:, 1:-11].unflatten(1, (batch.shape[2] // 16, -1))
        output.encoder_last_hidden_state = [tokens.permute(0, 3, 1, 2)]
        output.last_hidden_state = output.last_hidden_state[:, -11:]
    if name in PROMPTED:
        output.logits = mean_logits(output.logits, others["input_ids"])
        output.encoder_last_hidden_state = output.encoder_last_hidden_state_vision
        output.encoder_hidden_states = output.encoder_vision_hidden_states
    return output


def tokenizer() -> Any:
    """With the separators' numbers of BERT's; it knows COCO's words, and spells others."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = sorted({word for name in COCO_NAMES.values() for word in name.split()} - set(letters))
    separators = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, ".": 1012, "?": 1029}
    others = [*words, *letters, *(f"##{letter}" for letter in letters)]
    return transformers.BertTokenizer(
        vocab=separators | {word: 1030 + place for place, word in enumerate(others)}
    )


def text_of(prompts: Sequence[str], batch: int) -> dict[str, Tensor]:
    """What Transformers' own processor makes of the prompts."""
    processor = transformers.GroundingDinoProcessor(GroundingDinoImageProcessorPil(), tokenizer())
    return dict(processor(text=[list(prompts)] * batch, return_tensors="pt"))


def mean_logits(logits: Tensor, input_ids: Tensor) -> Tensor:
    """The logit of the mean score of each prompt's tokens, which Transformers finds itself."""
    prompts = torch.stack(build_label_maps(logits, input_ids)).double()
    scores = logits.double().sigmoid() @ prompts.mT / prompts.sum(-1)[:, None]
    return scores.logit().float()


def encoder_maps(name: str, model: Any, batch: Tensor, output: Any) -> list[Tensor]:
    """What the model's decoder attends to, as Transformers returns it, channels last."""
    if name in ("lw-detr", "rf-detr"):
        with torch.no_grad():
            found = model.model.backbone(batch, torch.ones_like(batch[:, 0]))
        maps = [level for level, _ in (found if name == "lw-detr" else [found])]
        return [level.permute(0, 2, 3, 1) for level in maps]
    if name in SIZES:
        return [level.permute(0, 2, 3, 1) for level in output.encoder_last_hidden_state]
    return [output.encoder_last_hidden_state]


def randomise(model: Any, size_hw: tuple[int, int], images: int = 4) -> None:
    """Weights and running statistics that let every part of the model carry a signal."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1 and parameter.numel():
                parameter.normal_(0, 1.4 * parameter[0].numel() ** -0.5)
            else:
                parameter.add_(0.1 * torch.randn_like(parameter))
        for norm in norms:
            norm.momentum = 1.0  # what the last images had
        text = text_of(("person",), images) if "grounding" in model.config.model_type else {}
        model.train()(pixel_values=torch.randn(images, 3, *size_hw), **text)
    model.eval()
