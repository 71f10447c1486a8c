"""What tests build in more than one room."""

from collections.abc import Mapping
from pathlib import Path

from mfd.config import DetectorChoice
from mfd.headtrain import MaskHead, Run, RunConfig


def save_head(folder: Path, head: MaskHead, categories: Mapping[int, str]) -> Run:
    """A head's folder as a finished run leaves it, without the record of a training."""
    spec = head.spec
    choice = DetectorChoice(spec.name, None, spec.encoder_layer or None)
    run = Run(folder)
    run.begin(RunConfig(head.config, spec, choice, dict(categories)), resume=False)
    run.save_head(head)
    return run
