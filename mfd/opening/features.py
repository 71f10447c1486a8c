"""Resolve what a run is evaluated on: a store, or the detector at work."""

from pathlib import Path

import torch

from mfd.coco import CocoDataset
from mfd.config import DetectorChoice, Project
from mfd.console import say
from mfd.errors import StoreError
from mfd.headtrain import Features, LiveFeatures, Run
from mfd.opening.project import complete, open_detector, open_store_of


def open_features_of(
    project: Project,
    run: Run,
    choice: DetectorChoice,
    dataset: CocoDataset,
    split: str,
    path: Path | None,
    device: torch.device,
) -> Features:
    """The store at `path`, or the split's by the run's detector, or the detector at work.

    Says which it is. The detector runs where the run trained it, since no store holds its features,
    and where a run that was trained without a store finds none either.

    Args:
        choice: how the run's detector is loaded.

    Raises:
        StoreError: there is no store, and the run was trained on one.
    """
    trained_live = run.config.source.get("kind") == "live"
    if path is not None or not run.detector_file.exists():
        try:
            store = open_store_of(project, run.config, split, path)
        except StoreError:
            if path is not None or not trained_live:
                raise
        else:
            say(f"store: {store.path}")
            return complete(store, dataset, choice, device)
    say("store: none, the detector runs on every image")
    detector = open_detector(choice, device, project.exif or run.config.spec.exif)
    return LiveFeatures(run.own_detector(detector), dataset)
