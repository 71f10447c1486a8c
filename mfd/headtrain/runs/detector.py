"""A detector that was trained along with the head: its weights as a file of the run."""

from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import nn

from mfd.detectors import Detector, DetectorSpec, freeze
from mfd.errors import ConfigError
from mfd.headtrain.runs.binding import check_binding
from mfd.headtrain.runs.weights import read_weights
from mfd.text import first_line

DETECTOR_FILE = "detector.safetensors"


def trained_spec(path: Path, spec: DetectorSpec) -> DetectorSpec:
    """Of the detector with the weights in the file, which was `spec` before; as it is without.

    Raises:
        ConfigError: the file is damaged.
    """
    if not path.exists():
        return spec
    try:
        with safe_open(path, "pt") as file:  # noted there as `mfd.detectors.weights_digest` has it
            return replace(spec, weights_digest=file.metadata()["sha256"])
    except (SafetensorError, OSError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} is damaged ({first_line(error)}); restore it or train again"
        ) from error


def trained_detector(path: Path, spec: DetectorSpec, detector: Detector) -> Detector:
    """The detector with the weights in the file, frozen; as it is without.

    Args:
        spec: of the detector that the run began with, which `detector` must be.

    Raises:
        DetectorError: it is another one.
        ConfigError: the file is damaged, or of another detector.
    """
    if not path.exists():
        return detector
    check_binding(spec, detector.spec)
    assert isinstance(detector, nn.Module)
    try:
        detector.load_state_dict(read_weights(path))
    except RuntimeError as error:
        raise ConfigError(
            f"{path} does not fit {spec.name}: {first_line(error)}; restore it or train again"
        ) from error
    frozen = freeze(detector)
    frozen.spec = trained_spec(path, spec)
    return frozen
