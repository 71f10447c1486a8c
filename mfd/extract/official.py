"""The detectors of the paper, from their official checkpoints as published."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from mfd.detector import DetectorSpec
from mfd.errors import DetectorError
from mfd.extract.backbones import FocalNet, ResNet, Swin
from mfd.extract.checkpoint import read_checkpoint
from mfd.extract.deformable import (
    DINO,
    HDETR,
    Backbone,
    DeformableConfig,
    DeformableDetector,
    DeformableDetr,
)
from mfd.extract.digest import weights_digest
from mfd.extract.official_names import Family, official_names, training_only

HDETR_RELEASE = "https://github.com/HDETR/H-Deformable-DETR/releases/tag/v0.1"
DINO_RELEASE = "https://github.com/IDEA-Research/DINO (model zoo)"
FOCALNET_RELEASE = (
    "hf://microsoft/focalnet-large-fl4-dino-o365-cocoft/"
    "focalnet_large_fl4_o365_finetuned_on_coco.pth"
)


@dataclass(frozen=True)
class OfficialDetector:
    """How one published detector is built and where its checkpoint is.

    Args:
        name: how `--detector` names it.
        family: whose names the checkpoint uses.
        config: of the transformer.
        backbone: makes the backbone.
        backbone_prefix: what the checkpoint puts before the backbone's names.
        max_detections: of the official evaluation.
        source: where the checkpoint is published.
    """

    name: str
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

    def names(self, network: DeformableDetr) -> dict[str, tuple[str, ...]]:
        """The checkpoint's names of every weight of the network; the first is the main one."""
        return {
            name: official_names(
                name,
                self.family,
                self.config.decoder_layers,
                network.backbone,
                self.backbone_prefix,
            )
            for name in network.state_dict()
            if not name.endswith("num_batches_tracked")
        }


_SWIN_L = partial(Swin, embed_dim=192, depths=(2, 2, 18, 2), heads=(6, 12, 24, 48))
_FOCALNET_L = partial(FocalNet, embed_dim=192, depths=(2, 2, 18, 2))
_HDETR = replace(HDETR, extra_queries=1500)
_FIVE_SCALES = replace(DINO, strides=(4, 8, 16, 32, 64))
_BODY = "backbone.0.body."

OFFICIAL = {
    detector.name: detector
    for detector in (
        OfficialDetector("hdetr-r50", "hdetr", _HDETR, ResNet, _BODY, 100, HDETR_RELEASE),
        OfficialDetector(
            "hdetr-swin-l", "hdetr", _HDETR, partial(_SWIN_L, window=7), _BODY, 100, HDETR_RELEASE
        ),
        OfficialDetector("dino-r50", "dino", DINO, ResNet, _BODY, 300, DINO_RELEASE),
        OfficialDetector(
            "dino-swin-l",
            "dino",
            DINO,
            partial(_SWIN_L, window=12),
            "backbone.0.",
            300,
            DINO_RELEASE,
        ),
        OfficialDetector(
            "dino-focalnet-l",
            "dino",
            _FIVE_SCALES,
            _FOCALNET_L,
            "backbone.0.",
            300,
            FOCALNET_RELEASE,
        ),
    )
}


def load_official(
    name: str, weights: str | Path | None, encoder_layer: int | None = None
) -> DeformableDetector:
    """A published detector with its weights, on the CPU; freezing it is the caller's part.

    Args:
        name: a key of `OFFICIAL`.
        weights: the official checkpoint; see `read_checkpoint`.
        encoder_layer: whose maps are given, counted from 1; 4 by default, the paper's choice.

    Raises:
        DetectorError: if the checkpoint is absent or another detector's.
    """
    detector = OFFICIAL[name]
    if weights is None:
        raise DetectorError(
            f"the detector {name} needs its official checkpoint, published at {detector.source}; "
            "give its path with --weights"
        )
    state = read_checkpoint(weights)
    try:
        return build_official(detector, state, 4 if encoder_layer is None else encoder_layer)
    except DetectorError as error:
        hint = _likely(state, name)
        raise DetectorError(f"{weights} does not fit {name}: {error}; {hint}") from error


def build_official(
    detector: OfficialDetector, state: dict[str, Tensor], encoder_layer: int
) -> DeformableDetector:
    """The detector with the weights of an official state dict.

    H-DETR's checkpoints tell their number of queries: all but the 1500 for one-to-many matching.

    Raises:
        DetectorError: naming the first keys that are missing, unexpected, of another shape, or
            copies that differ from their original.
    """
    config = detector.config
    if not 1 <= encoder_layer <= config.encoder_layers:
        raise DetectorError(
            f"there is no encoder layer {encoder_layer}; choose 1 to {config.encoder_layers}"
        )
    rows = state.get("query_embed.weight")
    if detector.family == "hdetr" and rows is not None and len(rows) > config.extra_queries:
        config = replace(config, num_queries=len(rows) - config.extra_queries)
        detector = replace(detector, config=config)
    network = detector.network()
    names = detector.names(network)
    _check(network, names, state)
    weights = {name: state[theirs[0]] for name, theirs in names.items()}
    for name, value in network.state_dict().items():
        if name.endswith("num_batches_tracked"):  # frozen batch norm counts nothing
            weights[name] = torch.zeros_like(value, device="cpu")
    weights = {n: w.float() if w.is_floating_point() else w for n, w in weights.items()}
    network.load_state_dict(weights, assign=True)
    spec = DetectorSpec(
        name=detector.name,
        dim=config.dim,
        strides=config.strides,
        num_queries=config.num_queries,
        category_ids=tuple(range(config.num_classes)),
        c1_channels=network.backbone.c1_channels,
        weights_digest=weights_digest(network),
        encoder_layer=encoder_layer,
        max_detections=detector.max_detections,
    )
    return DeformableDetector(network, spec)


def _check(network: nn.Module, names: dict[str, tuple[str, ...]], state: dict[str, Tensor]) -> None:
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    known = {theirs for group in names.values() for theirs in group}
    complaints = {
        "missing": sorted(known - state.keys()),
        "unexpected": sorted(k for k in state.keys() - known if not training_only(k)),
        "mis-shaped": [
            f"{theirs} {tuple(state[theirs].shape)}, expected {tuple(shapes[ours])}"
            for ours, group in names.items()
            for theirs in group
            if theirs in state and not _fits(state[theirs], shapes[ours])
        ],
        "unequal copies": [
            f"{theirs} and {group[0]}"
            for group in names.values()
            for theirs in group[1:]
            if {theirs, group[0]} <= state.keys() and not state[theirs].equal(state[group[0]])
        ],
    }
    found = [
        f"{len(keys)} {kind} ({'; '.join(keys[:3])}{' ...' if len(keys) > 3 else ''})"
        for kind, keys in complaints.items()
        if keys
    ]
    if found:
        raise DetectorError("keys " + ", ".join(found))


def _fits(value: Tensor, shape: torch.Size) -> bool:
    """Whether a tensor has the shape and, if it is a matrix, was not stored transposed."""
    return value.shape == shape and (value.ndim != 2 or value.is_contiguous())


def _likely(state: dict[str, Tensor], name: str) -> str:
    """Which detector most of the keys belong to, as advice."""
    fits = {other: _share(detector, state) for other, detector in OFFICIAL.items()}
    best = max(fits, key=lambda other: fits[other])
    if best != name and fits[best] > fits[name]:
        return f"it looks like {best}"
    if fits[best] < 0.5:
        return f"expected the checkpoint published at {OFFICIAL[name].source}"
    return f"it looks like {best}, changed; fetch it anew from {OFFICIAL[best].source}"


def _share(detector: OfficialDetector, state: dict[str, Tensor]) -> float:
    """Of all names in the checkpoint or the detector, the fraction both have, equally shaped."""
    network = detector.network()
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    names = detector.names(network)
    expected = {theirs: shapes[ours] for ours, group in names.items() for theirs in group}
    common = sum(key in state and state[key].shape == shape for key, shape in expected.items())
    return common / len(state.keys() | expected.keys())
