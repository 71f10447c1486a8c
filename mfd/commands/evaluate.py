"""`mfd evaluate`: COCO AP of a trained head's masks and of its detector's boxes."""

import json
from pathlib import Path

from mfd import headtrain, opening
from mfd.commands.options import device_setting
from mfd.config import Project
from mfd.console import out, print_json, say
from mfd.headtrain import Run
from mfd.settings import setting, settings

HELP = "Print COCO AP of boxes and masks, and write the results files."
PROJECT = ("data", "stores", "runs", "detector", "weights", "encoder_layer")


@settings
class Options:
    """What is evaluated on what."""

    run: str | None = setting(
        "Name or folder of a run (default: the latest finished one).",
        default=None,
        extra={"argument": True},
    )
    split: str = setting("Split of the store and its annotations.", default="val")
    images: Path | None = setting("Image folder of a custom dataset.", default=None)
    annotations: Path | None = setting(
        "COCO-format annotation file of a custom dataset.", default=None
    )
    store: Path | None = setting(
        "Path of the feature store (default: the matching one under --stores).", default=None
    )
    baselines: bool = setting(
        "Also evaluate two baselines: boxes as masks, and the untrained head.", default=False
    )
    per_category: bool = setting("Also print the AP of every category.", default=False)
    json: bool = setting("Print JSON for machines.", default=False)
    device: str = device_setting()
