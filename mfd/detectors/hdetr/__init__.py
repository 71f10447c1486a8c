"""H-Deformable-DETR (arXiv:2207.13080), as its authors published it."""

from mfd.detectors.hdetr.detectors import DETECTORS, HDETR, HDETR_FAMILY

__all__ = ["DETECTORS", "HDETR", "HDETR_FAMILY"]
