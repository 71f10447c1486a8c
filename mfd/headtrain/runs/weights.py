"""A head's weights as a safetensors file, which cannot run code when it is opened."""

from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mfd.errors import ConfigError
from mfd.files import write_atomically


def write_weights(path: Path, tensors: dict[str, Tensor]) -> None:
    """Put a state dict into a safetensors file, atomically."""
    on_cpu = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_atomically(path, save(on_cpu))


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict that `write_weights` wrote, on the CPU.

    Raises:
        ConfigError: the file is absent or damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path.parent} has no {path.name}; finish its training by `mfd train-head --resume`"
        ) from error
    except (SafetensorError, OSError) as error:
        raise ConfigError(f"{path} is damaged ({error}); restore it or train again") from error
