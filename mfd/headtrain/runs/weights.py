"""A head's weights as a safetensors file, which cannot run code when it is opened."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mfd.errors import ConfigError
from mfd.files import write_atomically
from mfd.placeholders import refuse_placeholder


def write_weights(path: Path, tensors: dict[str, Tensor]) -> None:
    """Put a state dict into a safetensors file, atomically, with its digest in the metadata."""
    on_cpu = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_atomically(path, save(on_cpu, {"sha256": _sha256(on_cpu)}))


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict that `write_weights` wrote, on the CPU.

    Raises:
        ConfigError: the file is absent or damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            noted = {k: v for k, v in (file.metadata() or {}).items() if k != "format"}
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path.parent} has no {path.name}; finish its training by `mfd train-head --resume`"
        ) from error
    except (SafetensorError, OSError) as error:
        with suppress(OSError):
            refuse_placeholder(path, "the head's weights", ConfigError)
        raise ConfigError(f"{path} is damaged ({error}); restore it or train again") from error
    if noted and noted != {"sha256": _sha256(tensors)}:  # those of an earlier mfd have none
        raise ConfigError(
            f"{path} is damaged (its weights do not have their digest); restore it or train again"
        )
    return tensors


def _sha256(tensors: Mapping[str, Tensor]) -> str:
    """The digest of names, element types, shapes and values, hex."""
    found = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        found.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
