"""The demo's images and detector, for whatever runs the detector."""

import pytest

from mfd.coco import CocoDataset, read_dataset, split_paths
from mfd.demo import generate
from mfd.detectors import Detector, load_detector


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> CocoDataset:
    folder = tmp_path_factory.mktemp("data")
    generate(folder, num_train=7, num_val=0, seed=5)
    return read_dataset(*split_paths(folder, "train"))


@pytest.fixture(scope="module")
def demo() -> Detector:
    return load_detector("demo")
