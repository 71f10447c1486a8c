"""A `lite` store whose stage-1 maps its detector computes again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Float
from PIL import Image, ImageOps
from torch import Tensor, nn

from mfd.cache import Store
from mfd.coco import CocoDataset
from mfd.detectors import DetectorOutput
from mfd.errors import DataError, DetectorError
from mfd.headtrain.sources.lite import LiteStore
from mfd.headtrain.sources.stored import StoredSource
from mfd.headtrain.targets.build import build_targets
from mfd.images import prepare_image
from tests.builders.runs import HEAD, SPEC, TRAIN, make_dataset, make_store


class Stage1(nn.Module):
    """A detector whose stage-1 map is the image's means over squares of 4 x 4, times a number."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.spec = replace(SPEC, **changes)
        self.factor = nn.Parameter(torch.tensor(2.0), requires_grad=False)

    def stage1(
        self, images: Float[Tensor, "B 3 H W"], padding_mask: Bool[Tensor, "B H W"]
    ) -> Float[Tensor, "B H4 W4 C"]:
        means = nn.functional.avg_pool2d(images, 4, ceil_mode=True)
        channels = means.mean(1)[..., None].expand(-1, -1, -1, self.spec.c1_channels)
        return self.factor * channels

    def forward(
        self, images: Float[Tensor, "B 3 H W"], padding_mask: Bool[Tensor, "B H W"]
    ) -> DetectorOutput:
        raise AssertionError("only stage 1 is needed")


@pytest.fixture
def lite(tmp_path: Path) -> tuple[Store, CocoDataset]:
    store = make_store(tmp_path, 5, profile="lite")
    dataset = make_dataset(tmp_path, store)
    random = np.random.default_rng(0)
    for image in store.images:
        file = dataset.images_dir / image.file_name
        file.parent.mkdir(exist_ok=True)
        pixels = random.integers(0, 256, (*image.original_hw, 3), np.uint8)
        Image.fromarray(pixels).save(file.with_suffix(".png"))
        file.with_suffix(".png").rename(file)  # its name says JPEG, which would change pixels
    return store, dataset


def test_lite_features_are_the_stores_with_the_map_of_each_image(
    lite: tuple[Store, CocoDataset],
) -> None:
    store, dataset = lite
    completed = LiteStore(store, Stage1(), dataset)
    assert len(completed) == len(store)
    assert (store.has_c1, completed.has_c1) == (False, True)
    assert completed.identity == store.identity
    means = []
    for position in range(len(store)):
        found, stored = completed[position], store[position]
        assert torch.equal(found.memory[0], stored.memory[0])
        assert torch.equal(found.queries, stored.queries)
        assert stored.c1 is None
        assert found.c1 is not None
        height, width = found.input_hw
        assert found.c1.shape == (-(-height // 4), -(-width // 4), SPEC.c1_channels)
        means.append(float(found.c1.mean()))
    assert len(set(means)) == len(means)  # no image has another's map


def test_lite_features_of_a_view_are_of_what_the_view_shows(
    lite: tuple[Store, CocoDataset], tmp_path: Path
) -> None:
    store, dataset = make_store(tmp_path, 5, profile="lite", view="flip"), lite[1]
    completed = LiteStore(store, Stage1(), dataset)
    for position, image in enumerate(store.images):
        file = Image.open(dataset.images_dir / image.file_name)
        mirrored = prepare_image(ImageOps.mirror(file), SPEC.preprocessing).pixels[None]
        found = completed[position].c1
        assert found is not None
        height, width = (-side % max(SPEC.strides) for side in mirrored.shape[2:])
        padded = nn.functional.pad(mirrored, (0, width, 0, height))
        expected = Stage1().stage1(padded, padded[:, 0] > 9)[0]
        assert torch.equal(found, expected[: found.shape[0], : found.shape[1]])


def test_lite_features_serve_training(lite: tuple[Store, CocoDataset], tmp_path: Path) -> None:
    store, dataset = lite
    targets = build_targets(store, dataset, tmp_path)
    completed = LiteStore(store, Stage1(), dataset)
    source = StoredSource(completed, targets, HEAD, TRAIN)
    (batch,) = source.batches(1, 2)
    assert batch.features.c1 is not None
    for index, name in enumerate(batch.image_names):
        expected = completed[store.position(int(name.split()[0]))].c1
        assert expected is not None
        height, width = expected.shape[:2]
        assert torch.equal(batch.features.c1[index, :height, :width], expected)
    assert source.describe()["profile"] == "lite"


@pytest.mark.parametrize("field", ["weights_digest", "preprocessing"])
def test_lite_features_of_another_detector_are_refused(
    lite: tuple[Store, CocoDataset], field: str
) -> None:
    changed = {
        "weights_digest": "12" * 32,
        "preprocessing": replace(SPEC.preprocessing, shorter_side=99),
    }
    with pytest.raises(DetectorError, match=f"{field} .*use the detector it was extracted with"):
        LiteStore(lite[0], Stage1(**{field: changed[field]}), lite[1])


def test_lite_features_of_an_unknown_image_are_refused(lite: tuple[Store, CocoDataset]) -> None:
    store, dataset = lite
    fewer = replace(dataset, images=dataset.images[1:])
    with pytest.raises(DataError, match=f"do not list image {store.image_ids[0]} of"):
        LiteStore(store, Stage1(), fewer)[0]
