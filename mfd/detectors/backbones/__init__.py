"""Backbones of the detectors: images to a stage-1 map and the maps of the finer levels."""

from mfd.detectors.backbones.focalnet import FocalNet
from mfd.detectors.backbones.resnet import ResNet
from mfd.detectors.backbones.swin import Swin, swin_large

__all__ = ["FocalNet", "ResNet", "Swin", "swin_large"]
