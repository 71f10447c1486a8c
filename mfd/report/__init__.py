"""`mfd report`: one page about runs, to look at and to pass on."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
