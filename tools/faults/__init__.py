"""The faults that `plant_faults.py` plants."""

from .evaluation import EVALUATION
from .fault import Fault
from .head import HEAD
from .kernels import KERNELS
from .rest import REST
from .training import TRAINING

FAULTS = [*KERNELS, *HEAD, *TRAINING, *EVALUATION, *REST]

__all__ = ["FAULTS", "Fault"]
