"""Custom detectors: what the function at `path/to/file.py:function` returns."""

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mfd.detectors.foreign import described
from mfd.errors import DetectorError, MfdError


def load_custom(
    name: str,
    weights: str | Path | None,
    encoder_layer: int | None,
    prompts: Sequence[str] = (),
) -> object:
    """What the function returns; nothing of it is checked yet.

    Args:
        name: `path/to/file.py:function`.
        weights: passed to the function by name, unless None.
        encoder_layer: likewise.
        prompts: likewise, unless empty.

    Raises:
        DetectorError: no such file or function, it does not take these arguments, or raises.
    """
    file_name, _, function_name = name.rpartition(":")
    path = Path(file_name).resolve()
    if not path.is_file():
        raise DetectorError(
            f"no file {path} to load the custom detector {name!r} from; where it is now is said by "
            "--detector, or `detector` in mfd.toml"
        )
    module = _called(f"{path} cannot be imported", lambda: _import_file(path))
    function = getattr(module, function_name, None)
    if not callable(function):
        raise DetectorError(
            f"{path} has no function {function_name!r}, expected one that returns the detector"
        )
    given = {"weights": weights, "encoder_layer": encoder_layer, "prompts": tuple(prompts) or None}
    arguments = {key: value for key, value in given.items() if value is not None}
    _check_arguments(name, function, arguments)
    return _called(f"{name} failed", lambda: function(**arguments))


def _called(fault: str, code: Callable[[], Any]) -> Any:
    """What the user's code returns; whatever it raises, `sys.exit` too, in one line."""
    try:
        return code()
    except (MfdError, KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:
        raise DetectorError(f"{fault}: {described(error)}; correct that file") from error


def _import_file(path: Path) -> Any:
    """The file as a module; it may import its neighbours, as a script may."""
    module_name = f"mfd_custom_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
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
