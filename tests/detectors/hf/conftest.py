"""Shared by the tests of Transformers' detectors: each model is built and loaded once."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
import torch

from mfd.detectors import load_detector, restore_deimv2
from tests.detectors.hf.tiny_models import PROMPTED, build, save


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors this small gain nothing from several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="package")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Any, Any]]:
    """Gives a model that knows COCO's ids, and the detector loaded from where it was saved."""

    @cache
    def load(name: str) -> tuple[Any, Any]:
        model = build(name, num_labels=91)
        folder = save(name, tmp_path_factory.mktemp(name), model=model)
        detector = load_detector(folder, prompts=PROMPTED.get(name, ()))
        if name.startswith("deimv2"):
            restore_deimv2(model)  # `test_deimv2` compares it with the published network's AP
        return model, detector

    return load
