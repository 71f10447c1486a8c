"""Mask Frozen-DETR: instance masks for a frozen DETR, trained on cached features."""

import lazy_loader

__version__ = "0.1.0"

# names are imported when they are used: torch takes seconds
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
