"""Resolve the name of a device."""

import torch

from mfd.errors import ConfigError
from mfd.text import first_line


def pick_device(name: str) -> torch.device:
    """The device of this name; "auto" is the GPU where there is one, else the CPU.

    Raises:
        ConfigError: there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.partition(":")[0] not in ("cpu", "cuda"):
        raise ConfigError(f"there is no device {name!r}; expected auto, cpu, cuda or cuda:N")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"device {name!r} cannot be used ({first_line(error)}); `mfd doctor` lists what can"
        ) from error
    return device
