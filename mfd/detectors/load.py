"""`--detector NAME` becomes a frozen module that obeys the contract of `mfd.detectors`."""

import difflib
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mfd.detectors.check import check_detector
from mfd.detectors.custom import load_custom
from mfd.detectors.freeze import freeze, weights_digest
from mfd.detectors.official import OFFICIAL, load_official
from mfd.errors import DetectorError

NAMES = ("demo", *OFFICIAL)
_KINDS = "hf:<repo or folder>, or path/to/file.py:function for a detector of one's own"


def load_detector(
    name: str,
    weights: str | Path | None = None,
    encoder_layer: int | None = None,
    device: torch.device | str = "cpu",
) -> Any:
    """The detector, frozen: a module with `spec` and the call of `mfd.detectors.contract.Detector`.

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
        from mfd.detectors.demo.detector import load_demo

        _refuse_weights(name, weights)
        detector: Any = load_demo(encoder_layer=encoder_layer)
    elif name in OFFICIAL:
        detector = load_official(name, weights, encoder_layer)
    elif name.startswith("hf:"):
        from mfd.detectors.hf.load import load_hf

        _refuse_weights(name, weights)
        detector = load_hf(name, encoder_layer)
    elif ".py:" in name:
        detector = load_custom(name, weights, encoder_layer)
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
