"""Resolve what a head is validated on while it trains."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import torch

from mfd.cache import Store, find_store
from mfd.coco import CocoDataset, match_categories
from mfd.config import DetectorChoice, Project
from mfd.console import say
from mfd.detectors import Detector, DetectorSpec
from mfd.errors import DataError, StoreError
from mfd.headtrain import Features, HeadConfig, LiveFeatures, Validation, check_binding
from mfd.opening.project import complete, in_categories_of, open_dataset

NONE = "none"

Made = TypeVar("Made")
Images = tuple[Features, CocoDataset]
Sampling = Callable[[int], Validation | None]
"""Gives a sample of so many images to validate heads on, and says it; None, and why, if it cannot.

How many are wanted is known only when there is something to train on, which may take long to make.
What they are drawn from is opened, or refused, before."""


def open_validation(
    project: Project,
    name: str | None,
    choice: DetectorChoice,
    spec: DetectorSpec,
    trained_on: Store | None,
    device: torch.device,
    *,
    head: HeadConfig,
) -> Sampling | None:
    """What a head is validated on, a split's store or another; None, and why, where there is none.

    Args:
        name: of the split, or the folder of a store; "none"; None: "val", if it has a store.
        choice: the detector, for stage 1 of a `lite` store.
        spec: of this detector.
        trained_on: whose kind is preferred where there are several stores.
        head: decides whether stage 1 and categories are needed.

    Raises:
        StoreError, DataError, DetectorError: what was named is not there, or not of this detector.
    """

    def stored(split: str) -> Images:
        store = _store(project, split, spec, trained_on)
        check_binding(spec, store.spec)
        dataset = open_dataset(project, store.identity.split, skip_invalid=True)
        if head.class_agnostic:
            dataset = dataset.without_categories()
        else:
            matched = match_categories(dataset, spec.category_ids, spec.names, project.categories)
            dataset = matched.dataset
        return complete(store, dataset, choice, device, needed=head.use_c1), dataset

    return _sampling(name, stored)


def open_live_validation(project: Project, name: str | None, detector: Detector) -> Sampling | None:
    """The images of a split, on which a detector that is trained too runs every time.

    Args, and what is returned, as for `open_validation`; `name` is that of a split.

    Raises:
        DataError: what was named is not there.
    """

    def live(split: str) -> Images:
        dataset = open_dataset(project, split, skip_invalid=True)
        dataset = in_categories_of(detector.spec, project, dataset).dataset
        return LiveFeatures(detector, dataset), dataset

    return _sampling(name, live)


def _sampling(name: str | None, open_named: Callable[[str], Images]) -> Sampling | None:
    """Samples of the images of that name; without a name, of "val" if that is there."""
    found = None if name == NONE else _unless_unnamed(name, lambda: open_named(name or "val"))
    if found is None:
        return None

    def sample(images: int) -> Validation | None:
        validation = _unless_unnamed(name, lambda: Validation(*found, images))
        if validation is not None:
            say(f"validation: {validation}")
        return validation

    return sample


def _unless_unnamed(name: str | None, make: Callable[[], Made]) -> Made | None:
    """What `make` makes; None, and why, where it cannot and nothing was named."""
    try:
        return make()
    except (StoreError, DataError) as error:
        if name is not None:
            raise
        say(f"validation: none ({error})")
        return None


def _store(project: Project, name: str, spec: DetectorSpec, trained_on: Store | None) -> Store:
    """The store in the folder `name`, or the one of the split `name`, rather of the same kind."""
    if "/" in name or (Path(name) / "zarr.json").exists():
        return Store.open(name)
    wanted: dict[str, object] = {
        "view": "base",
        "weights_digest": spec.weights_digest,
        "encoder_layer": spec.encoder_layer,
        "exif": spec.exif,
    }
    if trained_on is not None:
        kind = trained_on.identity
        same = {**wanted, "profile": kind.profile, "dtype": kind.dtype}
        with suppress(StoreError):
            return Store.open(find_store(project.stores, detector=spec.name, split=name, **same))
    return Store.open(find_store(project.stores, detector=spec.name, split=name, **wanted))
