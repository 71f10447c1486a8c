"""Resolve the names in a project to its data set, detector and stores."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mfd.cache import Store, find_store
from mfd.coco import (
    CocoDataset,
    MatchedCategories,
    match_categories,
    read_dataset,
    split_names_of,
    split_paths,
)
from mfd.config import DetectorChoice, Exif, Project
from mfd.console import say
from mfd.detectors import Detector, DetectorSpec, load_detector
from mfd.errors import DataError, StoreError
from mfd.headtrain import FeatureStore, LiteStore, RunConfig
from mfd.text import suggest


def open_dataset(
    project: Project,
    split: str,
    images: Path | None = None,
    annotations: Path | None = None,
    **reading: Any,
) -> CocoDataset:
    """The split of the project's data, or the data named by `images` and `annotations`.

    Args:
        reading: how, as `read_dataset` takes it.
    """
    if images is None or annotations is None:
        usual = _usual_paths(project, split)
        annotations, images = annotations or usual[0], images or usual[1]
    return read_dataset(annotations, images, remembered_in=project.stores, **reading)


def split_names(project: Project) -> list[str]:
    """The splits that the project's data has."""
    return list(project.splits) or split_names_of(project.data)


def _usual_paths(project: Project, split: str) -> tuple[Path, Path]:
    """Annotation file and image folder of a split of the project's data."""
    if not project.splits:
        return split_paths(project.data, split)
    if split not in project.splits:
        raise DataError(
            f"[data] in mfd.toml has no split {split!r}; {suggest(split, project.splits)}"
        )
    images, annotations = project.splits[split]
    return annotations, images


def in_categories_of(
    spec: DetectorSpec, project: Project, dataset: CocoDataset, *, class_agnostic: bool = False
) -> MatchedCategories:
    """The data set in the detector's categories; what was matched, and what cannot be, is said.

    Args:
        class_agnostic: in no categories instead.
    """
    if class_agnostic:
        return MatchedCategories(dataset.without_categories())
    matched = match_categories(dataset, spec.category_ids, spec.names, project.categories)
    for line in (matched.table(), matched.note and f"note: {matched.note}"):
        if line:
            say(line)
    return matched


def open_detector(
    choice: DetectorChoice, device: torch.device | str = "cpu", exif: Exif | None = None
) -> Detector:
    """The detector, frozen, on its device; how its checkpoint was read is said where unusual.

    Args:
        exif: what its spec says of image files that are stored turned; None leaves that to it.
    """
    detector = load_detector(
        choice.name, choice.weights, choice.encoder_layer, device, say, choice.prompts
    )
    if exif is not None:
        detector.spec = detector.spec.with_exif(exif)
    return detector


def open_store(
    project: Project,
    split: str,
    path: Path | None = None,
    encoder_layer: int | None = None,
    view: str = "base",
) -> Store:
    """The store at `path`, or the project's one finished store of the split and detector.

    Args:
        encoder_layer: layer whose maps are wanted; None: the project's, or any.
        view: which one's store is looked for; the store at `path` may be of another.

    Raises:
        StoreError: there is none, or it holds the maps of another layer, or those of images that
            were turned otherwise than `exif` says.
    """
    layer = project.encoder_layer if encoder_layer is None else encoder_layer
    if path is not None:
        store = _open_at(path, project)
        if layer is not None and store.spec.encoder_layer != layer:
            raise StoreError(
                f"{path} holds the maps of encoder layer {store.spec.encoder_layer}, expected "
                f"layer {layer}; run `mfd extract --encoder-layer {layer}`"
            )
        return store
    wanted: dict[str, object] = {"detector": project.detector}
    if ":" in project.detector:  # a custom detector is known by its spec's name and its weights
        spec = open_detector(project.choice).spec
        wanted = {"detector": spec.name, "weights_digest": spec.weights_digest}
    wanted["view"] = view
    if layer is not None:
        wanted["encoder_layer"] = layer
    if project.exif is not None:
        wanted["exif"] = project.exif
    return Store.open(find_store(project.stores, split=split, **wanted))  # type: ignore[arg-type]


def open_store_of(project: Project, run: RunConfig, split: str, path: Path | None = None) -> Store:
    """The store at `path`, or the one finished store of the split by the detector of a run.

    It is looked for in the project's folder and where the store is that the run was trained on.

    Raises:
        StoreError: there is none in either, or it is of images that were turned otherwise than
            `exif` says.
    """
    if path is not None:
        return _open_at(path, project)
    spec = run.spec
    wanted: dict[str, object] = {
        "weights_digest": spec.weights_digest,
        "encoder_layer": spec.encoder_layer,
        "view": "base",
    }
    if project.exif is not None:
        wanted["exif"] = project.exif
    trained_on = run.source.get("path")
    folders = [project.stores, *([Path(trained_on).parent] if trained_on else [])]
    refusals = []
    for folder in folders:
        try:
            return Store.open(find_store(folder, detector=spec.name, split=split, **wanted))
        except StoreError as error:
            refusals.append(error)
    raise refusals[-1]


def _open_at(path: Path, project: Project) -> Store:
    store = Store.open(path)
    if project.exif not in (None, store.spec.exif):
        raise StoreError(
            f'{path} was extracted with exif = "{store.spec.exif}", expected "{project.exif}"; run '
            f"`mfd extract --exif {project.exif}`, or change `exif` in mfd.toml"
        )
    return store


def complete(
    store: Store,
    dataset: CocoDataset,
    choice: DetectorChoice,
    device: torch.device,
    *,
    needed: bool = True,
) -> FeatureStore:
    """The store; where it leaves out C1 and the head needs it, recomputed by the detector."""
    if store.has_c1 or not needed:
        return store
    return LiteStore(store, open_detector(choice, device, store.spec.exif), dataset)


def choice_of(project: Project, store: Store) -> DetectorChoice:
    """How the store's detector is loaded again.

    The project's choice where it means the same detector, else what was noted when the store was
    made.
    """
    noted = DetectorChoice.noted(store.info().provenance, store.spec.name)
    noted = noted.where_it_is(project.choice)
    own = project.detector in (noted.name, store.spec.name)
    choice = project.choice if own else noted
    if ".py:" in choice.name:  # its function may take no such argument
        return choice
    return replace(choice, encoder_layer=store.spec.encoder_layer or None)
