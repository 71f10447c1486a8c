"""Stage one: images, a frozen detector, its features in a store."""

from mfd.extract.digest import weights_digest
from mfd.extract.digests import image_digests
from mfd.extract.features import detect, detect_all, stage1_features
from mfd.extract.frozen import freeze, stays_frozen
from mfd.extract.images import (
    LoadedImage,
    collate_images,
    input_size,
    load_image,
    prepare_image,
    read_rgb,
)
from mfd.extract.load import load_detector
from mfd.extract.plan import Estimate, estimate, measure_rate, store_identity
from mfd.extract.run import ExtractConfig, Extraction, extract

__all__ = [
    "Estimate",
    "ExtractConfig",
    "Extraction",
    "LoadedImage",
    "collate_images",
    "detect",
    "detect_all",
    "estimate",
    "extract",
    "freeze",
    "image_digests",
    "input_size",
    "load_detector",
    "load_image",
    "measure_rate",
    "prepare_image",
    "read_rgb",
    "stage1_features",
    "stays_frozen",
    "store_identity",
    "weights_digest",
]
