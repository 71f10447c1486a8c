"""A unit's images become encoded features; decoding runs ahead, but not far."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from mfd.cache import StoreImage
from mfd.coco import CocoDataset
from mfd.detectors import ImageFeatures, detect, load_detector
from mfd.errors import DataError
from mfd.extract import ExtractConfig, features
from mfd.extract.features import WINDOW, encoded_features
from mfd.images import load_image, load_view
from tests.builders.tiny import make_dataset

TINY = Path(__file__).parents[1] / "builders" / "tiny.py"


def windows_of(dataset: CocoDataset) -> list[list[StoreImage]]:
    images = [StoreImage(i.image_id, i.file_name, i.size_hw, "") for i in dataset.images]
    return [images[i : i + WINDOW] for i in range(0, len(images), WINDOW)]


@pytest.mark.parametrize("has_c1", [True, False])
def test_features_are_the_encoded_outputs_and_a_bad_image_is_an_error_in_its_place(
    tmp_path: Path, has_c1: bool
) -> None:
    dataset = make_dataset(tmp_path, WINDOW + 3)
    dataset.path(dataset.images[17]).write_bytes(b"")
    detector: Any = load_detector(f"{TINY}:detector")
    results = encoded_features(
        detector,
        tmp_path,
        windows_of(dataset),
        ExtractConfig(batch_size=1),
        has_c1=has_c1,
        dtype="int8",
    )
    for entry, found in zip(dataset.images, results, strict=True):
        if entry is dataset.images[17]:
            assert isinstance(found, DataError)
            continue
        assert isinstance(found, ImageFeatures)
        image = load_image(dataset.path(entry), detector.spec.preprocessing)
        (exact,) = detect(detector, [image], [entry.image_id])
        assert found.image_id == entry.image_id
        assert torch.equal(found.queries, exact.queries.half())
        assert found.memory[0].dtype == torch.int8
        assert found.memory_constants["scale"].shape == (2, detector.spec.dim)
        assert (found.c1 is not None) == has_c1


def test_images_of_one_more_window_are_decoded_ahead_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_dataset(tmp_path, 4 * WINDOW)
    windows = windows_of(dataset)
    started: list[str] = []
    lock = threading.Lock()

    def counted(path: Path, *arguments: Any) -> Any:
        with lock:
            started.append(path.name)
        return load_view(path, *arguments)

    monkeypatch.setattr(features, "load_view", counted)
    detector: Any = load_detector(f"{TINY}:detector")
    found = encoded_features(
        detector, tmp_path, windows, ExtractConfig(workers=3), has_c1=False, dtype="float16"
    )
    next(found)
    deadline = time.monotonic() + 5
    while len(started) < 2 * WINDOW and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.05)
    assert sorted(started) == sorted(image.file_name for window in windows[:2] for image in window)
    found.close()
    assert len(started) == 2 * WINDOW


def test_a_programming_error_is_not_taken_for_a_bad_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(features, "load_view", broken)
    windows = windows_of(make_dataset(tmp_path, 2))
    detector: Any = load_detector(f"{TINY}:detector")
    with pytest.raises(ZeroDivisionError):
        list(
            encoded_features(
                detector, tmp_path, windows, ExtractConfig(), has_c1=True, dtype="float16"
            )
        )
