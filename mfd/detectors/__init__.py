"""Frozen detectors: the contract, loading, what they compute, and help for custom detectors."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
