"""Detectors in Transformers' format: a repository or a folder becomes a detector."""

from mfd.detectors.hf.detector import TransformersDetector
from mfd.detectors.hf.load import load_hf, quiet_transformers

__all__ = ["TransformersDetector", "load_hf", "quiet_transformers"]
