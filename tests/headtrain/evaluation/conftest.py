"""A data set of scenes, its store, and the evaluation of a head that knows it."""

from pathlib import Path

import pytest

from mfd.cache import Store
from mfd.coco import CocoDataset
from mfd.headtrain.evaluation.evaluate import evaluate
from mfd.headtrain.evaluation.report import Evaluation
from tests.builders.scenes import Knows, make_dataset, make_store


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> CocoDataset:
    return make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, dataset: CocoDataset) -> Store:
    return make_store(tmp_path_factory.mktemp("stores"), dataset)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs") / "knows"


@pytest.fixture(scope="module")
def known(store: Store, dataset: CocoDataset, run_dir: Path) -> Evaluation:
    """The figures of a head that knows the objects, with both baselines."""
    found = evaluate(Knows(dataset), store, dataset, baselines=True, split="val")
    assert not run_dir.exists()
    found.write(run_dir)
    return found
