"""A published detector on the shared network: how it is built and how its checkpoint is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mfd.coco import COCO_IDS, COCO_NAMES
from mfd.detectors.deformable.backbone import Backbone
from mfd.detectors.deformable.config import DeformableConfig
from mfd.detectors.deformable.detector import DeformableDetector
from mfd.detectors.deformable.model import DeformableDetr
from mfd.detectors.keys import KeyMap, renamed
from mfd.detectors.spec import DetectorSpec

_IGNORED = (  # ends of keys that are not needed to run a detector
    "relative_position_index",  # follows from the window
    "label_enc.weight",  # serves the denoising of DINO's training, and is left behind elsewhere
)
_CLASS_BIAS = "class_embed.0.bias"  # of the first decoder layer, in every family


@dataclass(frozen=True)
class OfficialDetector:
    """How a published detector is built and where its checkpoint is.

    Args:
        config: of the transformer.
        names: official names of one of our weights outside the backbone, given the number of
            decoder layers; the first is the main one, the others are copies.
        adapt: the detector with further settings that a checkpoint of it tells.
        backbone: makes the backbone.
        backbone_prefix: what the checkpoint puts before the backbone's names.
        max_detections: of the official evaluation.
        source: where the checkpoint is published.
    """

    config: DeformableConfig
    names: Callable[[str, int], tuple[str, ...]]
    adapt: "Callable[[OfficialDetector, Mapping[str, Tensor]], OfficialDetector]"
    backbone: Callable[[], Backbone]
    backbone_prefix: str
    max_detections: int
    source: str

    def network(self) -> DeformableDetr:
        """The network without weights, on the meta device."""
        with torch.device("meta"):
            return DeformableDetr(self.config, self.backbone())

    def adapted_to(self, state: Mapping[str, Tensor]) -> "OfficialDetector":
        """The detector with the settings that the checkpoint tells, the number of classes first."""
        detector = self
        bias = state.get(_CLASS_BIAS)
        if bias is not None and bias.ndim == 1:
            detector = replace(self, config=replace(self.config, num_classes=len(bias)))
        return self.adapt(detector, state)

    def share(self, state: Mapping[str, Tensor]) -> float:
        """How well a state dict fits the detector with the settings that it tells; 1 if whole."""
        return self.adapted_to(state).key_map().share(state)

    def key_map(self) -> KeyMap:
        """What the checkpoint must hold, and under which names."""
        network = self.network()
        shapes = {
            name: value.shape
            for name, value in network.state_dict().items()
            if not name.endswith("num_batches_tracked")  # frozen batch norm counts nothing
        }
        names = {name: self._official_names(network.backbone, name) for name in shapes}
        return KeyMap(shapes, names, _IGNORED)

    def build(
        self, name: str, weights: Mapping[str, Tensor], encoder_layer: int
    ) -> DeformableDetector:
        """The detector on the CPU; freezing it and the spec's digest are the caller's part.

        Args:
            name: how `--detector` names it.
            weights: under our names, as `KeyMap.translate` gives them.
            encoder_layer: layer whose maps are returned (1-based).

        Raises:
            DetectorError: if there is no such layer.
        """
        network = self.network()
        absent = network.state_dict().keys() - weights
        counters = {n: torch.zeros((), dtype=torch.long) for n in absent}
        network.load_state_dict({**weights, **counters}, assign=True)
        spec = DetectorSpec(
            name=name,
            dim=self.config.dim,
            strides=self.config.strides,
            num_queries=self.config.num_queries,
            category_ids=tuple(range(self.config.num_classes)),
            category_names=_coco_names(self.config.num_classes),
            c1_channels=network.backbone.c1_channels,
            encoder_layer=encoder_layer,
            max_detections=self.max_detections,
        )
        return DeformableDetector(network, spec)

    def _official_names(self, backbone: Backbone, name: str) -> tuple[str, ...]:
        if name.startswith("backbone."):
            theirs = renamed(name.removeprefix("backbone."), backbone.official_names)
            return (self.backbone_prefix + theirs,)
        return self.names(name, self.config.decoder_layers)


def _coco_names(num_classes: int) -> tuple[str, ...]:
    """COCO's names where the columns are its ids 0 to 90; none for other data."""
    if num_classes != COCO_IDS[-1] + 1:
        return ()
    return tuple(COCO_NAMES.get(column, "") for column in range(num_classes))
