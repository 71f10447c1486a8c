"""`--detector NAME` becomes a frozen module that obeys the contract of `mfd.detector`."""

import difflib
import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mfd.errors import DetectorError
from mfd.extract.contract import check_detector
from mfd.extract.digest import weights_digest
from mfd.extract.frozen import freeze
from mfd.extract.official import OFFICIAL, load_official

NAMES = ("demo", *OFFICIAL)
_KINDS = "hf:<repo or folder>, or path/to/file.py:function for a detector of one's own"


def load_detector(
    name: str,
    weights: str | Path | None = None,
    encoder_layer: int | None = None,
    device: torch.device | str = "cpu",
) -> Any:
    """The detector, frozen: a module with `spec` and the call of `mfd.detector.Detector`.

    Args:
        name: one of `NAMES`, `hf:` and a repository or folder in Transformers' format, or
            `path/to/file.py:function`. The function is called with those of `weights` and
            `encoder_layer` that are given here, by name, and returns the module.
        weights: the checkpoint, for detectors that need one.
        encoder_layer: whose maps the detector gives, counted from 1; None is its own default.

    Raises:
        DetectorError: no such detector, or one that does not fulfil the contract.
    """
    if name == "demo":
        from mfd.extract.demo import load_demo

        _refuse_weights(name, weights)
        detector: Any = load_demo(encoder_layer=encoder_layer)
    elif name in OFFICIAL:
        detector = load_official(name, weights, encoder_layer)
    elif name.startswith("hf:"):
        from mfd.extract.hf import load_hf

        _refuse_weights(name, weights)
        detector = load_hf(name, encoder_layer)
    elif ".py:" in name:
        detector = _load_own(name, weights, encoder_layer)
    else:
        near = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(NAMES)}, {_KINDS}"
        raise DetectorError(f"there is no detector {name!r}; {hint}")
    check_detector(name, detector)
    freeze(detector)
    detector.spec = replace(detector.spec, weights_digest=weights_digest(detector))
    # convolutions with channels last are a third faster on the CPU, and on GPUs in half precision
    return detector.to(device, memory_format=torch.channels_last)


def _refuse_weights(name: str, weights: str | Path | None) -> None:
    if weights is not None:
        raise DetectorError(
            f"the detector {name!r} brings its weights, found weights {str(weights)!r}; leave "
            "them out"
        )


def _load_own(name: str, weights: str | Path | None, encoder_layer: int | None) -> Any:
    """What the function at `path/to/file.py:function` returns."""
    file_name, _, function_name = name.rpartition(":")
    path = Path(file_name).resolve()
    if not path.is_file():
        raise DetectorError(f"there is no file {path} to load the detector {name!r} from")
    function = getattr(_import_file(path), function_name, None)
    if not callable(function):
        raise DetectorError(
            f"{path} has no function {function_name!r}, expected one that returns the detector"
        )
    given = {"weights": weights, "encoder_layer": encoder_layer}
    arguments = {key: value for key, value in given.items() if value is not None}
    _check_arguments(name, function, arguments)
    return function(**arguments)


def _import_file(path: Path) -> Any:
    """The file as a module; it may import its neighbours, as a script may."""
    module_name = f"mfd_own_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses and pickle look modules up here
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    spec.loader.exec_module(module)
    return module


def _check_arguments(name: str, function: Callable[..., Any], arguments: dict[str, Any]) -> None:
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        given = ", ".join(f"{key}=..." for key in arguments) or "no arguments"
        raise DetectorError(f"{name} cannot be called with {given}: {error}") from error
