"""H-Deformable-DETR (arXiv:2207.13080), as its authors published it."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from torch import Tensor

from mfd.detectors.backbones import ResNet, swin_large
from mfd.detectors.deformable.config import DeformableConfig
from mfd.detectors.deformable.names import SHARED, head_names
from mfd.detectors.deformable.official import OfficialDetector
from mfd.detectors.keys import Renames, renamed

HDETR = DeformableConfig()


def _with_its_queries(detector: OfficialDetector, state: Mapping[str, Tensor]) -> OfficialDetector:
    """The same with 900 queries, as other released Swin-L weights have; else unchanged."""
    table = state.get("query_embed.weight")
    if table is None or table.ndim != 2 or len(table) - detector.config.extra_queries != 900:
        return detector
    config = replace(detector.config, num_queries=900)
    return replace(detector, config=config, max_detections=300)


_RENAMES: Renames = (
    *SHARED,
    (r"^decoder\.content", "query_embed"),
    (r"^decoder\.position\.linear", "transformer.pos_trans"),
    (r"^decoder\.position\.norm", "transformer.pos_trans_norm"),
)


def _official_names(name: str, decoder_layers: int) -> tuple[str, ...]:
    """All names of a weight outside the backbone; the proposals' heads count as a last layer's."""
    if match := re.match(r"decoder\.(class|box)_heads\.(\d+)\.(.*)", name):
        return head_names(match[1], [int(match[2])], match[3])
    if match := re.match(r"proposals\.(class|box)_head\.(.*)", name):
        return head_names(match[1], [decoder_layers], match[2])
    return (renamed(name, _RENAMES),)


_hdetr = partial(
    OfficialDetector,
    config=replace(HDETR, extra_queries=1500),
    names=_official_names,
    adapt=_with_its_queries,
    backbone_prefix="backbone.0.body.",
    max_detections=100,
    source="https://github.com/HDETR/H-Deformable-DETR/releases/tag/v0.1",
)
DETECTORS = {
    "hdetr-r50": _hdetr(backbone=ResNet),
    "hdetr-swin-l": _hdetr(backbone=partial(swin_large, window=7)),
}
