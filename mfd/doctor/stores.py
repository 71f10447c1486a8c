"""Stores that are there, and room for those that are not."""

import shutil
from collections.abc import Mapping

from mfd.cache import list_stores
from mfd.coco import CocoDataset
from mfd.config import Project
from mfd.detectors import DetectorSpec
from mfd.doctor.report import Report
from mfd.extract import estimate
from mfd.files import nearest_folder, require_writable
from mfd.text import size


def examine_stores(
    report: Report,
    project: Project,
    datasets: Mapping[str, CocoDataset],
    spec: DetectorSpec | None,
) -> None:
    """Say which stores are damaged or unfinished, and whether the missing ones have room.

    Raises:
        DiskError: there is something else in the place of the folder of stores.
    """
    stores, errors = list_stores(project.stores)
    report.attempt(require_writable, project.runs)
    free = shutil.disk_usage(nearest_folder(project.stores)).free
    report.say(f"stores under {project.stores}: {len(stores)}, disk free: {size(free)}")
    report.attempt(require_writable, project.stores)
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


def _weights(spec: DetectorSpec) -> tuple[str, int]:
    return spec.weights_digest, spec.encoder_layer
