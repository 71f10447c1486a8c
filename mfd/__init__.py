"""Mask Frozen-DETR: instance masks for a frozen DETR, trained on cached features."""

__version__ = "0.1.0"
