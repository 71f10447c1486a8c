"""The published H-DETR detectors."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from torch import Tensor

from mfd.detectors.backbones import ResNet, swin_large
from mfd.detectors.deformable.config import DeformableConfig
from mfd.detectors.deformable.official import OfficialDetector, OfficialFamily
from mfd.detectors.hdetr.names import official_names

HDETR = DeformableConfig()


def _with_its_queries(detector: OfficialDetector, state: Mapping[str, Tensor]) -> OfficialDetector:
    """The same with 900 queries, as other released Swin-L weights have; else unchanged."""
    table = state.get("query_embed.weight")
    if table is None or table.ndim != 2 or len(table) - detector.config.extra_queries != 900:
        return detector
    config = replace(detector.config, num_queries=900)
    return replace(detector, config=config, max_detections=300)


HDETR_FAMILY = OfficialFamily(
    official_names,
    ignored=("label_enc.weight",),  # left behind in some by the denoising of DINO
    adapt=_with_its_queries,
)

_hdetr = partial(
    OfficialDetector,
    family=HDETR_FAMILY,
    config=replace(HDETR, extra_queries=1500),
    backbone_prefix="backbone.0.body.",
    max_detections=100,
    source="https://github.com/HDETR/H-Deformable-DETR/releases/tag/v0.1",
)
DETECTORS = {
    "hdetr-r50": _hdetr(backbone=ResNet),
    "hdetr-swin-l": _hdetr(backbone=partial(swin_large, window=7)),
}
