"""Resolve what a head is validated on while it trains."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

from mfd.cache import Store, find_store
from mfd.coco import match_categories
from mfd.config import DetectorChoice, Project
from mfd.console import say
from mfd.detectors import Detector, DetectorSpec
from mfd.errors import DataError, StoreError
from mfd.headtrain import HeadConfig, LiveFeatures, Validation
from mfd.opening.project import complete, in_categories_of, open_dataset

NONE = "none"


def open_validation(
    project: Project,
    name: str | None,
    choice: DetectorChoice,
    spec: DetectorSpec,
    trained_on: Store | None,
    device: torch.device,
    *,
    images: int,
    head: HeadConfig,
) -> Validation | None:
    """A sample of a split's images, or of a store's; None where there is to be no validation.

    What is validated on is said, or why nothing is.

    Args:
        name: of the split, or the folder of a store; "none"; None: "val", if it has a store.
        choice: the detector, for stage 1 of a `lite` store.
        spec: of this detector.
        trained_on: whose kind is preferred where there are several stores.
        images: size of the sample.
        head: decides whether stage 1 and categories are needed.

    Raises:
        StoreError, DataError: what was named is not there.
    """

    def stored(split: str) -> Validation:
        store = _store(project, split, spec, trained_on)
        dataset = open_dataset(project, store.identity.split, skip_invalid=True)
        if head.class_agnostic:
            dataset = dataset.without_categories()
        else:
            matched = match_categories(dataset, spec.category_ids, spec.names, project.categories)
            dataset = matched.dataset
        features = complete(store, dataset, choice, device, needed=head.use_c1)
        return Validation(features, dataset, images)

    return _opened(name, stored)


def open_live_validation(
    project: Project, name: str | None, detector: Detector, *, images: int
) -> Validation | None:
    """A sample of a split's images, on which a detector that is trained too runs every time.

    Args, and what is returned, as for `open_validation`; `name` is that of a split.

    Raises:
        DataError: what was named is not there.
    """

    def live(split: str) -> Validation:
        dataset = open_dataset(project, split, skip_invalid=True)
        dataset = in_categories_of(detector.spec, project, dataset).dataset
        return Validation(LiveFeatures(detector, dataset), dataset, images)

    return _opened(name, live)


def _opened(name: str | None, make: Callable[[str], Validation]) -> Validation | None:
    """What `make` makes of the name; without a name, of "val" if that is there."""
    if name == NONE:
        return None
    try:
        validation = make(name or "val")
    except (StoreError, DataError) as error:
        if name is not None:
            raise
        say(f"validation: none ({error})")
        return None
    say(f"validation: {validation}")
    return validation


def _store(project: Project, name: str, spec: DetectorSpec, trained_on: Store | None) -> Store:
    """The store in the folder `name`, or the one of the split `name`, rather of the same kind."""
    if (Path(name) / "zarr.json").exists():
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
