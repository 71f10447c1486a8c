"""What mfd raises for anything a user or a file can cause: found, expected, what to do."""

import pickle
import struct
import zipfile

UNPICKLING_ERRORS = (  # what `torch.load` raises for damaged files
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


class MfdError(Exception):
    """The root of all errors a user can cause; the command line prints it as one line."""


class ConfigError(MfdError, ValueError):
    """A setting, flag or `mfd.toml` entry that cannot be used."""


class DataError(MfdError, ValueError):
    """An annotation file or image that cannot be used."""


class DiskError(MfdError, OSError):
    """A file or folder that cannot be written, such as on a full disk."""


class InputError(MfdError, TypeError):
    """An image given to the Python interface that is of no accepted type, shape or range."""


class DetectorError(MfdError, ValueError):
    """A detector or checkpoint that does not fulfil the contract of `mfd.detectors`."""


class StoreError(MfdError, ValueError):
    """A feature store that is missing, unfinished, damaged or of another identity."""


class TrainingError(MfdError, RuntimeError):
    """Training that cannot continue, such as a loss that is not finite."""


class DistributedError(MfdError, RuntimeError):
    """Processes that work as one and do not find each other, or disagree."""


class ExportError(MfdError, RuntimeError):
    """A head or detector that cannot leave PyTorch, or that computes something else outside."""


class KernelError(MfdError, ValueError):
    """Tensors that a kernel cannot take, or a kernel path that cannot run here."""
