"""Frozen detectors: the contract, loading, and what they compute of images."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
