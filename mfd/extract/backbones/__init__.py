"""Backbones of the detectors: images to a stage-1 map and the maps of the finer levels."""

from mfd.extract.backbones.focalnet import FocalNet
from mfd.extract.backbones.resnet import ResNet
from mfd.extract.backbones.swin import Swin

__all__ = ["FocalNet", "ResNet", "Swin"]
