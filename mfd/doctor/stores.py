"""Stores that are there, and room for those that are not."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from mfd.cache import list_stores
from mfd.coco import CocoDataset
from mfd.config import Project
from mfd.detectors import DetectorSpec
from mfd.doctor.report import Report
from mfd.extract import estimate
from mfd.text import size


def examine_stores(
    report: Report,
    project: Project,
    datasets: Mapping[str, CocoDataset],
    spec: DetectorSpec | None,
) -> None:
    """Say which stores are damaged or unfinished, and whether the missing ones have room."""
    stores, errors = list_stores(project.stores)
    free = shutil.disk_usage(_existing(project.stores)).free
    report.say(f"stores under {project.stores}: {len(stores)}, disk free: {size(free)}")
    for folder in (project.stores, project.runs):
        if not os.access(_existing(folder), os.W_OK | os.X_OK):
            report.say(
                f"nothing can be written to {_existing(folder)}, where {folder} belongs; change "
                "its permissions, or name other folders by --stores and --runs",
                good=False,
            )
    for store in stores:
        if not store.complete:
            report.say(f"store {store.path.name} is unfinished; `mfd extract` resumes it")
    for error in errors:
        report.say(str(error), good=False)
    if spec is None:
        return
    base = [store for store in stores if store.view == "base"]
    done = {store.split for store in base if _weights(store.spec) == _weights(spec)}
    for name in sorted(datasets.keys() - done):
        full = estimate(datasets[name], spec, "full").num_bytes
        lite = estimate(datasets[name], spec, "lite").num_bytes
        int4 = estimate(datasets[name], spec, "lite", "int4").num_bytes
        text = (
            f"{name}: the store will need {size(full)}, with --profile lite {size(lite)}, with "
            f"--dtype int4 too {size(int4)}"
        )
        if full <= free:
            report.say(text)
        else:
            report.say(f"{text}; make room, or name another disk by --stores", good=False)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    whole = folder.absolute()
    return next(each for each in (whole, *whole.parents) if each.exists())


def _weights(spec: DetectorSpec) -> tuple[str, int]:
    return spec.weights_digest, spec.encoder_layer
