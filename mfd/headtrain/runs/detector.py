"""A detector that was trained along with the head: its weights as a file of the run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import nn

from mfd.detectors import Detector, DetectorSpec, freeze
from mfd.errors import ConfigError
from mfd.headtrain.runs.binding import check_binding
from mfd.headtrain.runs.weights import read_weights, write_weights
from mfd.text import first_line

DETECTOR_FILE = "detector.safetensors"


def write_detector(path: Path, detector: nn.Module) -> None:
    """Put the detector's weights into a safetensors file, atomically."""
    write_weights(path, detector.state_dict())


def trained_spec(path: Path, spec: DetectorSpec) -> DetectorSpec:
    """Of the detector with the weights in the file, which was `spec` before; as it is without."""
    return replace(spec, weights_digest=read_digest(path)) if path.exists() else spec


def trained_detector(path: Path, spec: DetectorSpec, detector: Detector) -> Detector:
    """The detector with the weights in the file, frozen; as it is without.

    Args:
        spec: of the detector that the run began with, which `detector` must be.

    Raises:
        DetectorError: it is another one.
        ConfigError: the file is damaged, or of another detector.
    """
    if path.exists():
        check_binding(spec, detector.spec)
        detector = read_into(path, detector)
        detector.spec = trained_spec(path, detector.spec)
    return detector


def read_digest(path: Path) -> str:
    """The digest of the weights in the file, the same as `mfd.detectors.weights_digest`.

    Raises:
        ConfigError: the file is damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            return file.metadata()["sha256"]
    except (SafetensorError, OSError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} is damaged ({first_line(error)}); restore it or train again"
        ) from error


def read_into(path: Path, detector: Any) -> Detector:
    """The detector with the weights of the file, frozen.

    Raises:
        ConfigError: the file is damaged, or of another detector.
    """
    try:
        detector.load_state_dict(read_weights(path))
    except RuntimeError as error:
        raise ConfigError(
            f"{path} does not fit {detector.spec.name}: {first_line(error)}; restore it or train "
            "again"
        ) from error
    return freeze(detector)
