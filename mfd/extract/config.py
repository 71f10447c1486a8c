"""The settings of an extraction."""

from dataclasses import dataclass

from mfd.config import Autocast
from mfd.errors import ConfigError


@dataclass(frozen=True)
class ExtractConfig:
    """How an extraction runs.

    Args:
        batch_size: images per forward pass, at most the 16 of a unit.
        workers: threads that decode and resize.
        autocast: element type of the detector's matrix products, "none", "bf16" or "fp16".
        strict: stop at the first image that cannot be used, instead of continuing without it.
    """

    batch_size: int = 4
    workers: int = 4
    autocast: Autocast = "none"
    strict: bool = False

    def __post_init__(self) -> None:
        for name in ("batch_size", "workers"):
            if (value := getattr(self, name)) < 1:
                raise ConfigError(f"{name} is {value}, expected at least 1")
