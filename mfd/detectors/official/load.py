"""The detectors of the paper, from their official checkpoints as published."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from mfd.detectors.backbones.focalnet import FocalNet
from mfd.detectors.backbones.resnet import ResNet
from mfd.detectors.backbones.swin import Swin
from mfd.detectors.checkpoint import read_checkpoint
from mfd.detectors.contract import DetectorSpec
from mfd.detectors.deformable.backbone import Backbone
from mfd.detectors.deformable.config import DINO, HDETR, DeformableConfig
from mfd.detectors.deformable.detector import DeformableDetector
from mfd.detectors.deformable.model import DeformableDetr
from mfd.detectors.official.keys import key_map
from mfd.detectors.official.names import Family
from mfd.errors import DetectorError

ENCODER_LAYER = 4  # whose maps the paper uses (table 14)


@dataclass(frozen=True)
class OfficialDetector:
    """How a published detector is built and where its checkpoint is.

    Args:
        family: whose names the checkpoint uses.
        config: of the transformer.
        backbone: makes the backbone.
        backbone_prefix: what the checkpoint puts before the backbone's names.
        max_detections: of the official evaluation.
        source: where the checkpoint is published.
    """

    family: Family
    config: DeformableConfig
    backbone: Callable[[], Backbone]
    backbone_prefix: str
    max_detections: int
    source: str

    def network(self) -> DeformableDetr:
        """The network without weights, on the meta device."""
        with torch.device("meta"):
            return DeformableDetr(self.config, self.backbone())


_HDETR = partial(
    OfficialDetector,
    family="hdetr",
    config=replace(HDETR, extra_queries=1500),
    backbone_prefix="backbone.0.body.",
    max_detections=100,
    source="https://github.com/HDETR/H-Deformable-DETR/releases/tag/v0.1",
)
_DINO = partial(
    OfficialDetector,
    family="dino",
    config=DINO,
    backbone_prefix="backbone.0.",
    max_detections=300,
    source="https://github.com/IDEA-Research/DINO (section Model Zoo)",
)
_SWIN_L = partial(Swin, embed_dim=192, depths=(2, 2, 18, 2), heads=(6, 12, 24, 48))

OFFICIAL = {
    "hdetr-r50": _HDETR(backbone=ResNet),
    "hdetr-swin-l": _HDETR(backbone=partial(_SWIN_L, window=7)),
    "dino-r50": _DINO(backbone=ResNet, backbone_prefix="backbone.0.body."),
    "dino-swin-l": _DINO(backbone=partial(_SWIN_L, window=12)),
    "dino-focalnet-l": _DINO(
        backbone=partial(FocalNet, embed_dim=192, depths=(2, 2, 18, 2)),
        config=replace(DINO, strides=(4, 8, 16, 32, 64)),
        source=(
            "hf://microsoft/focalnet-large-fl4-dino-o365-cocoft/"
            "focalnet_large_fl4_o365_finetuned_on_coco.pth"
        ),
    ),
}


def load_official(
    name: str, weights: str | Path | None, encoder_layer: int | None = None
) -> DeformableDetector:
    """A published detector with its weights, on the CPU; freezing it is the caller's part.

    Args:
        name: a key of `OFFICIAL`.
        weights: the official checkpoint; see `read_checkpoint`.
        encoder_layer: whose maps are given, counted from 1; 4 by default.

    Raises:
        DetectorError: if the checkpoint is absent or another detector's, or there is no such layer.
    """
    detector = OFFICIAL[name]
    if weights is None:
        raise DetectorError(
            f"the detector {name} needs its official checkpoint, published at {detector.source}; "
            "give its path with --weights"
        )
    layer = ENCODER_LAYER if encoder_layer is None else encoder_layer
    return build_official(name, detector, read_checkpoint(weights), layer)


def build_official(
    name: str, detector: OfficialDetector, state: Mapping[str, Tensor], encoder_layer: int
) -> DeformableDetector:
    """The detector with the weights of an official state dict; see `load_official`.

    H-DETR's checkpoints tell their number of queries, 300 or 900.
    The spec's digest is left to whoever freezes the detector.
    """
    table = state.get("query_embed.weight")
    if detector.family == "hdetr" and table is not None and table.ndim == 2:
        detector = _with_queries(detector, len(table) - detector.config.extra_queries)
    config, network = detector.config, detector.network()
    keys = key_map(network, detector.family, detector.backbone_prefix)
    if problem := keys.mismatch(state):
        advice = _advice(name, keys.share(state), state)
        raise DetectorError(f"the checkpoint does not fit {name}: {problem}; {advice}")
    weights = keys.translate(state)
    counters = {n: torch.zeros((), dtype=torch.long) for n in network.state_dict().keys() - weights}
    network.load_state_dict({**weights, **counters}, assign=True)
    spec = DetectorSpec(
        name=name,
        dim=config.dim,
        strides=config.strides,
        num_queries=config.num_queries,
        category_ids=tuple(range(config.num_classes)),
        c1_channels=network.backbone.c1_channels,
        weights_digest="",
        encoder_layer=encoder_layer,
        max_detections=detector.max_detections,
    )
    return DeformableDetector(network, spec)


def _with_queries(detector: OfficialDetector, count: int) -> OfficialDetector:
    """The same with 900 queries, as other released Swin-L weights have; else unchanged."""
    if count != 900:
        return detector
    config = replace(detector.config, num_queries=count)
    return replace(detector, config=config, max_detections=300)


def _advice(name: str, share: float, state: Mapping[str, Tensor]) -> str:
    """Which detector most of the keys belong to, and what to do."""
    shares = {
        other: key_map(d.network(), d.family, d.backbone_prefix).share(state)
        for other, d in OFFICIAL.items()
        if other != name
    }
    likely = max(shares, key=lambda other: shares[other])
    if shares[likely] > share:
        return f"it looks like {likely}: use --detector {likely}"
    if share < 0.5:
        return f"it looks like no detector mfd knows; known are {', '.join(OFFICIAL)}"
    return f"it looks like a changed {name}; fetch it anew"
