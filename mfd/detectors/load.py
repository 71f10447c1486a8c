"""`--detector NAME` becomes a frozen module that obeys the contract of `mfd.detectors`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from mfd.detectors.check import check_contract
from mfd.detectors.contract import Detector
from mfd.detectors.custom import load_custom
from mfd.detectors.demo.detector import load_demo
from mfd.detectors.freeze import freeze, weights_digest
from mfd.detectors.hf.originals import ORIGINALS
from mfd.detectors.official import OFFICIAL, load_official
from mfd.errors import DetectorError
from mfd.text import short, some, suggest

NAMES = ("demo", *OFFICIAL, *ORIGINALS)
_KINDS = "hf:<repo or folder>, or path/to/file.py:function for a custom detector"


def load_detector(
    name: str,
    weights: str | Path | None = None,
    encoder_layer: int | None = None,
    device: torch.device | str = "cpu",
    say: Callable[[str], object] = lambda line: None,
    prompts: Sequence[str] = (),
) -> Detector:
    """The detector, frozen, on a device.

    Args:
        name: one of `NAMES`, `hf:` and a repository or folder in Transformers' format, or
            `path/to/file.py:function`. The function is called with those of `weights`,
            `encoder_layer` and `prompts` that are given here, by name, and returns the module.
        weights: the checkpoint, for detectors that need one.
        encoder_layer: layer whose maps the detector returns (1-based); None: its default.
        device: where its weights are moved.
        say: is told, line by line, how a checkpoint differs from a published one.
        prompts: categories of a detector that looks for what a text says.

    Raises:
        DetectorError: no such detector, or one that does not obey the contract.
    """
    detector: Any = _loader(name, say, prompts)(name, weights, encoder_layer)
    check_contract(name, detector)
    freeze(detector)
    detector.spec = replace(detector.spec, weights_digest=weights_digest(detector))
    # convolutions with channels last are a third faster on the CPU, and on GPUs in half precision
    moved: Detector = detector.to(device, memory_format=torch.channels_last)
    return moved


def _loader(
    name: str, say: Callable[[str], object], prompts: Sequence[str]
) -> Callable[[str, str | Path | None, int | None], object]:
    """What loads a detector of this name, given name, weights and encoder layer."""
    if name.startswith("hf:"):
        return partial(_hf, prompts=prompts)
    if ".py:" in name:
        return partial(load_custom, prompts=prompts)
    if prompts and name in NAMES:
        raise DetectorError(
            f"{name} finds what it was trained on, found prompts {some(map(short, prompts))}; "
            "leave them out, or use a Grounding DINO"
        )
    if name in OFFICIAL:
        return partial(load_official, say=say)
    if name in ORIGINALS:
        from mfd.detectors.hf.originals.load import load_original  # as `_hf` says

        return partial(load_original, say=say)
    if name == "demo":
        return _demo
    raise DetectorError(f"there is no detector {name!r}; {suggest(name, NAMES)}; or {_KINDS}")


def _demo(name: str, weights: str | Path | None, encoder_layer: int | None) -> object:
    _refuse_weights(name, weights)
    return load_demo(encoder_layer=encoder_layer)


def _hf(
    name: str, weights: str | Path | None, encoder_layer: int | None, prompts: Sequence[str]
) -> object:
    from mfd.detectors.hf.load import load_hf  # importing Transformers takes seconds

    _refuse_weights(name, weights)
    return load_hf(name, encoder_layer, prompts)


def _refuse_weights(name: str, weights: str | Path | None) -> None:
    if weights is not None:
        raise DetectorError(
            f"the detector {name!r} comes with its weights, found weights {str(weights)!r}; leave "
            "them out"
        )
