"""DINO (arXiv:2203.03605), as its authors and FocalNet's published it."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from torch import Tensor

from mfd.detectors.backbones import FocalNet, ResNet, swin_large
from mfd.detectors.deformable.config import DeformableConfig
from mfd.detectors.deformable.names import SHARED, head_names
from mfd.detectors.deformable.official import OfficialDetector
from mfd.detectors.keys import Renames, renamed

DINO = DeformableConfig(
    num_queries=900,
    map_temperature=20.0,
    map_offset=0.0,
    token_score="max",
    query_position="reference",
    decoder_norm=True,
    shared_heads=True,
    box_eps=1e-3,
)


def _with_its_queries(detector: OfficialDetector, state: Mapping[str, Tensor]) -> OfficialDetector:
    """The same with as many queries as the checkpoint has."""
    table = state.get("transformer.tgt_embed.weight")
    if table is None or table.ndim != 2:
        return detector
    return replace(detector, config=replace(detector.config, num_queries=len(table)))


_RENAMES: Renames = (
    *SHARED,
    (r"^decoder\.content", "transformer.tgt_embed"),
    (r"^decoder\.position\.mlp", "transformer.decoder.ref_point_head"),
    (r"^decoder\.norm", "transformer.decoder.norm"),
    (r"^proposals\.box_head", "transformer.enc_out_bbox_embed"),
    (r"^proposals\.class_head", "transformer.enc_out_class_embed"),
)


def _official_names(name: str, decoder_layers: int) -> tuple[str, ...]:
    """All names of a weight outside the backbone; all decoder layers share their heads."""
    if match := re.match(r"decoder\.(class|box)_heads\.\d+\.(.*)", name):
        return head_names(match[1], range(decoder_layers), match[2])
    return (renamed(name, _RENAMES),)


_dino = partial(
    OfficialDetector,
    config=DINO,
    names=_official_names,
    adapt=_with_its_queries,
    backbone_prefix="backbone.0.",
    max_detections=300,
    source="https://github.com/IDEA-Research/DINO (section Model Zoo)",
)
DETECTORS = {
    "dino-r50": _dino(backbone=ResNet, backbone_prefix="backbone.0.body."),
    "dino-swin-l": _dino(backbone=partial(swin_large, window=12)),
    "dino-focalnet-l": _dino(
        backbone=partial(FocalNet, embed_dim=192, depths=(2, 2, 18, 2)),
        config=replace(DINO, strides=(4, 8, 16, 32, 64)),
        source=(
            "hf://microsoft/focalnet-large-fl4-dino-o365-cocoft/"
            "focalnet_large_fl4_o365_finetuned_on_coco.pth"
        ),
    ),
}
