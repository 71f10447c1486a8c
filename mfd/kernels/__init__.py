"""Multi-scale deformable attention and RoIAlign on channels-last maps."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
