"""Frozen detectors: the contract, loading, and what they compute of images."""

from mfd.detectors.contract import Detector, DetectorOutput, DetectorSpec
from mfd.detectors.features import detect, detect_all, stage1_features
from mfd.detectors.freeze import freeze, stays_frozen, weights_digest
from mfd.detectors.image_features import ImageFeatures
from mfd.detectors.load import load_detector
from mfd.detectors.scores import class_scores, top_detections

__all__ = [
    "Detector",
    "DetectorOutput",
    "DetectorSpec",
    "ImageFeatures",
    "class_scores",
    "detect",
    "detect_all",
    "freeze",
    "load_detector",
    "stage1_features",
    "stays_frozen",
    "top_detections",
    "weights_digest",
]
