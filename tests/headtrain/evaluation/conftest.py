"""A data set of scenes, and its store."""

import pytest

from mfd.cache import Store
from mfd.coco import CocoDataset
from tests.builders.scenes import make_dataset, make_store


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> CocoDataset:
    return make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, dataset: CocoDataset) -> Store:
    return make_store(tmp_path_factory.mktemp("stores"), dataset)
