"""What an extraction will need, told before it starts."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from mfd.cache import Store, StoreWriter, encode_batch
from mfd.coco import CocoDataset
from mfd.config import StoredDtype
from mfd.detectors import ImageFeatures, load_detector
from mfd.errors import DataError, DetectorError
from mfd.extract import (
    ExtractConfig,
    estimate,
    extract,
    features,
    image_digests,
    measure_rate,
    store_identity,
    store_sizes,
)
from tests.builders.tiny import make_dataset

TINY = Path(__file__).parents[1] / "builders" / "tiny.py"


@pytest.fixture
def dataset(tmp_path: Path) -> CocoDataset:
    return make_dataset(tmp_path / "images", 18)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize(
    ("profile", "view"), [("full", "base"), ("lite", "base"), ("full", "ms:1")]
)
def test_the_estimated_bytes_are_those_of_the_data_in_the_store(
    profile: str, view: str, dtype: StoredDtype, dataset: CocoDataset, tmp_path: Path
) -> None:
    detector = load_detector(f"{TINY}:detector")
    expected = estimate(dataset, detector.spec, profile, dtype, view=view)
    digests = image_digests(dataset, tmp_path)
    identity = store_identity(
        detector.spec, dataset, digests, split="val", view=view, profile=profile, dtype=dtype
    )
    with StoreWriter.open(tmp_path / "stores", identity) as writer:
        path = extract(detector, dataset, writer, ExtractConfig(view=view)).path
    stored = sum(features.num_bytes for features in Store.open(path))
    assert expected.images == 18
    assert abs(expected.num_bytes - stored) < 0.03 * stored
    assert expected.bytes_per_image == expected.num_bytes / 18
    base = estimate(dataset, detector.spec, profile, dtype)
    assert (expected.num_bytes == base.num_bytes) == (view == "base")


def test_a_store_of_unknown_weights_is_refused(dataset: CocoDataset) -> None:
    spec = replace(load_detector(f"{TINY}:detector").spec, weights_digest="")
    with pytest.raises(DetectorError, match="'tiny' has no weights_digest"):
        store_identity(spec, dataset, ["0" * 64] * 18, split="val")


def test_hours_follow_from_a_measured_rate(dataset: CocoDataset) -> None:
    detector = load_detector(f"{TINY}:detector")
    rate = measure_rate(detector, dataset, sample=7)
    assert rate > 0
    assert estimate(dataset, detector.spec).hours is None
    assert estimate(dataset, detector.spec, images_per_second=9.0).hours == 18 / 9 / 3600


def test_sizes_of_stores_are_those_estimated_for_each_kind_that_training_can_use(
    dataset: CocoDataset,
) -> None:
    detector = load_detector(f"{TINY}:detector")
    assert hasattr(detector, "stage1")
    found = store_sizes(dataset, detector, "ms:1")
    assert list(found) == [
        (profile, dtype) for dtype in ("float16", "int8", "int4") for profile in ("full", "lite")
    ]
    for (profile, dtype), num_bytes in found.items():
        kind = estimate(dataset, detector.spec, profile, dtype, view="ms:1")
        assert num_bytes == kind.num_bytes
    bare = SimpleNamespace(spec=detector.spec)  # as a detector that cannot recompute C1
    assert [profile for profile, _ in store_sizes(dataset, bare)] == ["full"] * 3  # type: ignore[arg-type]


@pytest.mark.parametrize(("profile", "dtype"), [("full", "float16"), ("lite", "int8")])
def test_a_rate_is_that_of_the_extraction_that_is_meant(
    dataset: CocoDataset, profile: Any, dtype: StoredDtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = load_detector(f"{TINY}:detector")
    batches: list[tuple[int, bool]] = []

    class Watched(nn.Module):
        spec = detector.spec

        def forward(self, images: torch.Tensor, padding_mask: torch.Tensor) -> Any:
            batches.append((len(images), torch.is_autocast_enabled("cpu")))
            return detector(images, padding_mask)

    encoded: list[ImageFeatures] = []

    def encode(images: list[ImageFeatures], dtype: StoredDtype) -> list[ImageFeatures]:
        found = encode_batch(images, dtype)
        encoded.extend(found)
        return found

    monkeypatch.setattr(features, "encode_batch", encode)
    config = ExtractConfig(batch_size=3, workers=1, precision="bfloat16")
    assert measure_rate(Watched(), dataset, config, profile=profile, dtype=dtype, sample=9) > 0
    assert {image.memory[0].dtype for image in encoded} == {getattr(torch, dtype)}
    assert {image.c1 is None for image in encoded} == {profile == "lite"}
    assert max(size for size, _ in batches) == 3
    assert sum(size for size, _ in batches) == 3 + 9  # a first batch is not timed
    assert all(autocast for _, autocast in batches)


def test_a_bad_image_in_the_sample_is_named(dataset: CocoDataset) -> None:
    dataset.path(dataset.images[0]).write_bytes(b"")
    with pytest.raises(DataError, match=r"0\.png"):
        measure_rate(load_detector(f"{TINY}:detector"), dataset)


def test_every_changed_input_makes_another_store(dataset: CocoDataset, tmp_path: Path) -> None:
    spec = load_detector(f"{TINY}:detector").spec
    digests = image_digests(dataset, tmp_path)
    base = store_identity(spec, dataset, digests, split="val")
    layer = replace(spec, encoder_layer=3)
    coarser = replace(spec, preprocessing=replace(spec.preprocessing, shorter_side=39))
    others = [
        store_identity(spec, dataset, digests, split="train"),
        store_identity(spec, dataset, digests, split="val", view="flip"),
        store_identity(spec, dataset, digests, split="val", profile="lite"),
        store_identity(spec, dataset, digests, split="val", dtype="float32"),
        store_identity(spec, dataset, digests, split="val", dtype="int8"),
        store_identity(spec, dataset, ["1" * 64, *digests[1:]], split="val"),
        store_identity(spec, dataset, digests, split="val", precision="bfloat16"),
        store_identity(layer, dataset, digests, split="val"),
        store_identity(coarser, dataset, digests, split="val"),
        store_identity(replace(spec, weights_digest="other"), dataset, digests, split="val"),
        store_identity(replace(spec, code_version=2), dataset, digests, split="val"),
    ]
    assert len({identity.sha256 for identity in [base, *others]}) == 12
    assert store_identity(spec, dataset, digests, split="val").sha256 == base.sha256
