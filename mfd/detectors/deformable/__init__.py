"""One two-stage deformable DETR; its configurations are H-DETR, DINO and the demo detector."""

from mfd.detectors.deformable.backbone import Backbone
from mfd.detectors.deformable.config import DINO, HDETR, DeformableConfig
from mfd.detectors.deformable.detector import DeformableDetector
from mfd.detectors.deformable.model import DeformableDetr, Predictions

__all__ = [
    "DINO",
    "HDETR",
    "Backbone",
    "DeformableConfig",
    "DeformableDetector",
    "DeformableDetr",
    "Predictions",
]
