"""A page on this machine: drop an image, see its masks, move the thresholds, take them home."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
