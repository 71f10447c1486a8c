from .api import MaskFrozenDETR as MaskFrozenDETR
from .cache import Store as Store
from .detectors import load_detector as load_detector
from .headtrain import evaluate as evaluate
from .headtrain import train as train

__version__: str
