"""Resolve what a run is evaluated on: a store, or the detector at work."""

from pathlib import Path

import torch

from mfd.cache import Store
from mfd.coco import CocoDataset
from mfd.config import DetectorChoice, Project
from mfd.errors import StoreError
from mfd.headtrain import LiveFeatures, Run
from mfd.opening.project import open_detector, open_store_of


def find_features_of(project: Project, run: Run, split: str, path: Path | None) -> Store | None:
    """The store at `path`, or the split's by the run's detector; None: the detector has to run.

    That is so where the run trained it, since no store holds its features, and where a run that was
    trained without a store finds none either.

    Raises:
        StoreError: there is no store, and the run was trained on one.
    """
    if path is None and run.detector_file.exists():
        return None
    try:
        return open_store_of(project, run.config, split, path)
    except StoreError:
        if path is None and run.config.source.get("kind") == "live":
            return None
        raise


def live_features_of(
    project: Project, run: Run, choice: DetectorChoice, dataset: CocoDataset, device: torch.device
) -> LiveFeatures:
    """The run's detector, at work on the images of a data set.

    Args:
        choice: how it is loaded.
    """
    detector = open_detector(choice, device, project.exif or run.config.spec.exif)
    return LiveFeatures(run.own_detector(detector), dataset)
