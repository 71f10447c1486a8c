"""What is wrong with environment, data, detector and stores of a project, and how to mend it."""

import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mfd.errors import MfdError
from mfd.project import Project

if TYPE_CHECKING:
    from mfd.coco import CocoDataset

IMAGES_OPENED = 16


@dataclass(frozen=True)
class Finding:
    """One line of a report, and whether all is well."""

    text: str
    good: bool = True


def examine(project: Project) -> list[Finding]:
    """Everything that `mfd extract` and `mfd train-head` rely on, looked at before they run."""
    checks: tuple[Callable[[], Iterator[str]], ...] = (
        _environment,
        lambda: _data(project, "train"),
        lambda: _data(project, "val"),
        lambda: _detector(project),
        lambda: _stores(project),
    )
    return [finding for check in checks for finding in _findings(check)]


def _findings(check: Callable[[], Iterator[str]]) -> Iterator[Finding]:
    """What a check says, and the error it ends with, if it does."""
    try:
        for text in check():
            yield Finding(text)
    except MfdError as error:
        yield Finding(str(error), good=False)


def _environment() -> Iterator[str]:
    import torch

    import mfd
    from mfd.kernels import kernel_report

    yield f"mfd {mfd.__version__}, Python {platform.python_version()}, torch {torch.__version__}"
    devices = [torch.device("cuda", i) for i in range(torch.cuda.device_count())]
    for device in devices or [torch.device("cpu")]:
        yield kernel_report(device)


def _data(project: Project, split: str) -> Iterator[str]:
    from mfd.coco import read_dataset, split_paths
    from mfd.extract import read_rgb

    dataset = read_dataset(*split_paths(project.data, split))
    yield _summary(split, dataset)
    step = max(1, len(dataset.images) // IMAGES_OPENED)
    for entry in dataset.images[::step]:
        read_rgb(dataset.path(entry), entry.size_hw)
    yield f"{split}: {len(dataset.images[::step])} images opened, sizes as annotated"


def _summary(split: str, dataset: "CocoDataset") -> str:
    objects = [a for found in dataset.annotations.values() for a in found]
    crowd = sum(a.iscrowd for a in objects)
    text = (
        f"{split}: {len(dataset.images)} images, {len(objects)} objects ({crowd} crowd regions) "
        f"of {len(dataset.categories)} categories"
    )
    if dataset.skipped:
        text += f"; {len(dataset.skipped)} annotations left out, first: {dataset.skipped[0]}"
    return text


def _detector(project: Project) -> Iterator[str]:
    from mfd.extract import load_detector

    spec = load_detector(project.detector, project.weights, project.encoder_layer).spec
    strides = ", ".join(map(str, spec.strides))
    yield (
        f"detector {spec.name}: {spec.num_queries} queries of width {spec.dim}, encoder maps at "
        f"strides {strides}, weights {spec.weights_digest[:12]}"
    )


def _stores(project: Project) -> Iterator[str]:
    from mfd.cache import list_stores
    from mfd.reports import size

    stores, errors = list_stores(project.stores)
    unfinished = [store.path.name for store in stores if not store.complete]
    root = project.stores.absolute()
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    yield f"stores under {project.stores}: {len(stores)}, disk free: {size(free)}"
    for name in unfinished:
        yield f"store {name} is unfinished; `mfd extract` goes on with it"
    if errors:
        raise errors[0]
