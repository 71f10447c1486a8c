"""Checkpoint files opened without running code that may be hidden in them."""

import argparse
import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mfd.detectors.state_dicts import StateDict, best_fit
from mfd.errors import UNPICKLING_ERRORS, DetectorError
from mfd.files import file_sha256
from mfd.placeholders import refuse_placeholder
from mfd.text import first_line

HUB = "hf://"

# sha256 of published files by their names, as far as several others who downloaded them agree.
PUBLISHED = {
    # DINO, R50, 4 scales, 12 epochs
    "checkpoint0011_4scale.pth": "0bcd6b0c33d60ed33461ce6f02ce5797a819c7c02eb7e15b76adfb6df307955a",
}


def read_checkpoint(
    weights: str | Path, fit: Callable[[Mapping[str, Tensor]], float] = lambda state: 1.0
) -> StateDict:
    """The named tensors of a checkpoint, on the CPU, wherever in it they are.

    Args:
        weights: as `read_content` takes it.
        fit: how well named tensors fit what is wanted, from 0 to 1, see `best_fit`.

    Raises:
        DetectorError: as `read_content`, and if there are no named tensors.
    """
    content = read_content(weights)
    found = best_fit(content, fit)
    if found is None:
        raise DetectorError(f"{weights} has no state dict, {_found_instead(content)}")
    return found


def read_content(weights: str | Path) -> Any:
    """All that a checkpoint holds, on the CPU.

    Args:
        weights: a safetensors file, a `torch.save`d file
            (`{"model": ..., "args": Namespace, ...}`, `{"ema": {"module": ...}}`, bare, ...), or
            `hf://OWNER/REPO/FILE` on the Hugging Face Hub.

    Raises:
        DetectorError: if there is no such file, it has anything but tensors and settings, or it
            has the name of a published file and another content.
    """
    path = _download(str(weights)) if str(weights).startswith(HUB) else Path(weights)
    if not path.is_file():
        raise DetectorError(f"no checkpoint at {path}; give the path of a file or hf://...")
    refuse_placeholder(path, "weights", DetectorError)
    expected = PUBLISHED.get(path.name)
    if expected and (digest := file_sha256(path)) != expected:
        raise DetectorError(
            f"{path} has the sha256 {digest[:16]}..., the published file of this name "
            f"{expected[:16]}...; download it again, or rename it if it is another file"
        )
    if path.suffix != ".safetensors":
        return _unpickle(path)
    try:
        return load_file(path)
    except SafetensorError as error:
        raise DetectorError(
            f"{path} is not a valid safetensors file ({error}); download it again"
        ) from error


def _unpickle(path: Path) -> Any:
    """The content, if it is made of tensors, plain values and `argparse.Namespace` only."""
    try:
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "Detected pickle protocol"
            )  # refused below, if at all
            return torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        raise DetectorError(
            f"{path} asks for {asked[1] if asked else 'something unknown'}, expected tensors and "
            "plain settings only; mfd runs no code from a checkpoint, so save its state dict with "
            "safetensors"
        ) from error
    except UNPICKLING_ERRORS as error:
        why = first_line(error).partition(". ")[0]  # PyTorch goes on with guesses
        kind = "" if _is_zip(path) else ", or no checkpoint of PyTorch"
        raise DetectorError(
            f"{path} is damaged or truncated{kind} ({type(error).__name__}: {why}); save or "
            "download it again"
        ) from error


def _is_zip(path: Path) -> bool:
    """Whether a file begins as PyTorch's do, whatever has become of the rest."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _found_instead(content: Any) -> str:
    """What a file without named tensors has, and what was expected."""
    if isinstance(content, Mapping) and content:
        names = ", ".join(map(repr, list(content)[:3]))
        return f"only {names}; expected named tensors, bare or under 'model'"
    return f"but a {type(content).__name__}; expected named tensors, bare or under 'model'"


def _download(address: str) -> Path:
    """The local copy of a file on the Hub, downloaded unless it is there already."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    owner, _, rest = address.removeprefix(HUB).partition("/")
    name, _, file = rest.partition("/")
    if not (owner and name and file):
        raise DetectorError(f"{address} is not a file on the Hub; expected hf://OWNER/REPO/FILE")
    try:
        return Path(hf_hub_download(f"{owner}/{name}", file))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise DetectorError(
            f"{address} is not in the local cache and could not be downloaded "
            f"({type(error).__name__}); connect to the network, or download the file elsewhere "
            "and give its path"
        ) from error
