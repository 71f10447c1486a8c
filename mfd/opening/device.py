"""Resolve the name of a device."""

import torch

from mfd.distributed import launched, local_rank
from mfd.errors import ConfigError
from mfd.text import first_line


def pick_device(name: str) -> torch.device:
    """The device of this name; "auto" is the GPU where there is one, else the CPU.

    Of several processes on one machine, each takes a GPU of its own, as far as there are any.

    Raises:
        ConfigError: there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and launched()[1] > 1 and (gpus := torch.cuda.device_count()):
        name = f"cuda:{local_rank() % gpus}"
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
