"""Detectors in Transformers' format: a repository or a folder becomes a detector."""

from mfd.extract.hf.detector import TransformersDetector
from mfd.extract.hf.load import load_hf, quiet_transformers

__all__ = ["TransformersDetector", "load_hf", "quiet_transformers"]
