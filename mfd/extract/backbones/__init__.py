"""Backbones of the detectors: images to a stage-1 map and the maps of the finer levels."""

from mfd.extract.backbones.resnet import ResNet

__all__ = ["ResNet"]
