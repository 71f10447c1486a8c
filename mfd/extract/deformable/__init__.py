"""One two-stage deformable DETR; its configurations are H-DETR, DINO and the demo detector."""

from mfd.extract.deformable.backbone import Backbone
from mfd.extract.deformable.config import DINO, HDETR, DeformableConfig
from mfd.extract.deformable.detector import DeformableDetector
from mfd.extract.deformable.model import DeformableDetr, Predictions

__all__ = [
    "DINO",
    "HDETR",
    "Backbone",
    "DeformableConfig",
    "DeformableDetector",
    "DeformableDetr",
    "Predictions",
]
