"""Stage one: images, a frozen detector, its features in a store."""

from mfd.detectors import load_detector
from mfd.extract.config import ExtractConfig
from mfd.extract.digests import image_digests
from mfd.extract.estimate import Estimate, estimate, measure_rate, store_identity
from mfd.extract.provenance import provenance
from mfd.extract.run import Extraction, extract

__all__ = [
    "Estimate",
    "ExtractConfig",
    "Extraction",
    "estimate",
    "extract",
    "image_digests",
    "load_detector",
    "measure_rate",
    "provenance",
    "store_identity",
]
