"""The store: detector outputs of a list of images on disk, written once and read many times."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
