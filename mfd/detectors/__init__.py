"""Frozen detectors: the contract, loading, what they compute, and help for custom detectors."""

from mfd.detectors.capture import capture_outputs
from mfd.detectors.check import check_contract
from mfd.detectors.contract import Detector, DetectorOutput, DetectorSpec
from mfd.detectors.features import detect, detect_all, stage1_features
from mfd.detectors.freeze import freeze, stays_frozen, weights_digest
from mfd.detectors.hf.quiet import quiet_transformers
from mfd.detectors.image_features import ImageFeatures
from mfd.detectors.load import load_detector
from mfd.detectors.scores import class_scores, top_detections
from mfd.images import Preprocessing

__all__ = [
    "Detector",
    "DetectorOutput",
    "DetectorSpec",
    "ImageFeatures",
    "Preprocessing",
    "capture_outputs",
    "check_contract",
    "class_scores",
    "detect",
    "detect_all",
    "freeze",
    "load_detector",
    "quiet_transformers",
    "stage1_features",
    "stays_frozen",
    "top_detections",
    "weights_digest",
]
