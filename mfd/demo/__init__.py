"""`mfd demo`: a data set from nothing, and the whole pipeline on it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
