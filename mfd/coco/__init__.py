"""COCO data: what a data set holds, read and checked before any other work is done with it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
