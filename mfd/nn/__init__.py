"""Layers that detectors and head share, each once."""

from mfd.nn.boxes import cxcywh_to_xyxy, pairwise_giou, xyxy_to_cxcywh

__all__ = ["cxcywh_to_xyxy", "pairwise_giou", "xyxy_to_cxcywh"]
