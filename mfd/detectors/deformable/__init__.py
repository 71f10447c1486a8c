"""One two-stage deformable DETR; its configurations are H-DETR, DINO and the demo detector."""

from mfd.detectors.deformable.backbone import Backbone
from mfd.detectors.deformable.config import DeformableConfig
from mfd.detectors.deformable.detector import DeformableDetector
from mfd.detectors.deformable.model import DeformableDetr, Predictions
from mfd.detectors.deformable.official import OfficialDetector

__all__ = [
    "Backbone",
    "DeformableConfig",
    "DeformableDetector",
    "DeformableDetr",
    "OfficialDetector",
    "Predictions",
]
