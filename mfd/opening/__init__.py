"""Resolve the names in a project: its data set, detector, stores, and the device."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
