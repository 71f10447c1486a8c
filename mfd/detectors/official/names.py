"""What the official checkpoints call the weights of our network."""

import re
from typing import Literal

from mfd.detectors.deformable.backbone import Backbone

Family = Literal["hdetr", "dino"]

_BOTH = (
    (r"^level_embed", "transformer.level_embed"),
    (r"^encoder", "transformer.encoder"),
    (r"^decoder\.layers", "transformer.decoder.layers"),
    (r"(encoder\.layers\.\d+)\.self_attn_norm", r"\1.norm1"),
    (r"(encoder\.layers\.\d+)\.feedforward_norm", r"\1.norm2"),
    (r"(decoder\.layers\.\d+)\.cross_attn_norm", r"\1.norm1"),
    (r"(decoder\.layers\.\d+)\.self_attn_norm", r"\1.norm2"),
    (r"(decoder\.layers\.\d+)\.feedforward_norm", r"\1.norm3"),
    (r"^proposals\.output_norm", "transformer.enc_output_norm"),
    (r"^proposals\.output", "transformer.enc_output"),
)
_FAMILY: dict[Family, tuple[tuple[str, str], ...]] = {
    "hdetr": (
        (r"^decoder\.content", "query_embed"),
        (r"^decoder\.position\.linear", "transformer.pos_trans"),
        (r"^decoder\.position\.norm", "transformer.pos_trans_norm"),
    ),
    "dino": (
        (r"^decoder\.content", "transformer.tgt_embed"),
        (r"^decoder\.position\.mlp", "transformer.decoder.ref_point_head"),
        (r"^decoder\.norm", "transformer.decoder.norm"),
        (r"^proposals\.box_head", "transformer.enc_out_bbox_embed"),
        (r"^proposals\.class_head", "transformer.enc_out_class_embed"),
    ),
}
_HEADS = {"class": "class_embed", "box": "bbox_embed"}


def official_names(
    name: str,
    family: Family,
    decoder_layers: int,
    backbone: Backbone,
    backbone_prefix: str,
) -> tuple[str, ...]:
    """All names under which an official checkpoint holds a weight of `DeformableDetr`.

    Heads appear twice, and DINO's, which all decoder layers share, twice per layer.
    """
    if name.startswith("backbone."):
        return (backbone_prefix + backbone.official_name(name.removeprefix("backbone.")),)
    if match := re.match(r"decoder\.(class|box)_heads\.(\d+)\.(.*)", name):
        kind, number, rest = match.groups()
        layers = range(decoder_layers) if family == "dino" else (int(number),)
        return _head_names(kind, layers, rest)
    if family == "hdetr" and (match := re.match(r"proposals\.(class|box)_head\.(.*)", name)):
        return _head_names(match[1], (decoder_layers,), match[2])
    for ours, theirs in _BOTH + _FAMILY[family]:
        name = re.sub(ours, theirs, name)
    return (name,)


def needless(official_name: str) -> bool:
    """Whether a checkpoint's entry is not needed to run the detector.

    DINO's label embedding serves denoising, in training only; Swin's index of its bias table
    follows from the window.
    """
    return official_name == "label_enc.weight" or official_name.endswith("relative_position_index")


def _head_names(kind: str, layers: range | tuple[int, ...], rest: str) -> tuple[str, ...]:
    heads = [f"{_HEADS[kind]}.{layer}.{rest}" for layer in layers]
    return (*heads, *(f"transformer.decoder.{head}" for head in heads))
