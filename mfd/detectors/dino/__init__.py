"""DINO (arXiv:2203.03605), as its authors and FocalNet's published it."""

from mfd.detectors.dino.detectors import DETECTORS, DINO, DINO_FAMILY

__all__ = ["DETECTORS", "DINO", "DINO_FAMILY"]
