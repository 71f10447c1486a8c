"""A small data set, its detector and a store to fill."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from mfd.cache import StoreWriter
from mfd.coco import CocoDataset
from mfd.detectors import load_detector
from mfd.extract import image_digests, store_identity
from tests.builders.tiny import make_dataset

TINY = Path(__file__).parents[1] / "builders" / "tiny.py"


@pytest.fixture
def dataset(tmp_path: Path) -> CocoDataset:
    return make_dataset(tmp_path / "images", 37)


@pytest.fixture
def detector() -> nn.Module:
    return load_detector(f"{TINY}:detector")


@pytest.fixture
def open_writer(tmp_path: Path) -> Callable[..., StoreWriter]:
    def open_writer(detector: Any, dataset: CocoDataset, **identity: str) -> StoreWriter:
        digests = image_digests(dataset, tmp_path)
        plan = store_identity(detector.spec, dataset, digests, **{"split": "val", **identity})
        return StoreWriter.open(tmp_path / "stores", plan)

    return open_writer
