"""A `lite` store whose stage-1 maps its detector computes again."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Float
from PIL import Image, ImageOps
from torch import Tensor, nn

from mfd.cache import Store, StoreImage, StoreWriter
from mfd.coco import CocoDataset, read_dataset, split_paths
from mfd.config import Precision
from mfd.demo import generate
from mfd.detectors import C1Source, Detector, DetectorOutput, PendingC1, load_detector
from mfd.errors import DataError, DetectorError
from mfd.extract import ExtractConfig, extract, image_digests, store_identity
from mfd.headtrain.sources.lite import LiteStore
from mfd.headtrain.sources.stored import StoredSource
from mfd.headtrain.targets.build import build_targets
from mfd.images import prepare_image
from tests.builders.features import make_identity
from tests.builders.runs import HEAD, SPEC, TRAIN, make_dataset, make_store, train_losses

pytestmark = pytest.mark.usefixtures("one_thread")


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


def write_images(folder: Path) -> tuple[StoreImage, ...]:
    """The files of five images of noise, and the list of them."""
    random = np.random.default_rng(0)
    listed = []
    for image in make_identity(5, SPEC).images:
        file = folder / image.file_name
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (*image.original_hw, 3), np.uint8)
        Image.fromarray(pixels).save(file, "png")  # its name says JPEG, which would change pixels
        listed.append(replace(image, sha256=hashlib.sha256(file.read_bytes()).hexdigest()))
    return tuple(listed)


@pytest.fixture
def images(tmp_path: Path) -> Sequence[StoreImage]:
    return write_images(tmp_path / "images")


@pytest.fixture
def lite(tmp_path: Path, images: Sequence[StoreImage]) -> tuple[Store, CocoDataset]:
    store = make_store(tmp_path, 5, profile="lite", images=images)
    return store, make_dataset(tmp_path, store)


def c1_of(source: C1Source | None) -> Tensor:
    assert source is not None
    return PendingC1.of([source]).compute()[0][0]


def test_lite_features_are_the_stores_and_each_images_map_follows_from_its_own_pixels(
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
        assert stored.c1 is found.c1 is None
        c1 = c1_of(found.c1_source)
        height, width = found.input_hw
        assert c1.shape == (-(-height // 4), -(-width // 4), SPEC.c1_channels)
        means.append(float(c1.mean()))
    assert len(set(means)) == len(means)  # no image has another's map


def test_lite_features_of_a_view_are_of_what_the_view_shows(
    images: Sequence[StoreImage], lite: tuple[Store, CocoDataset], tmp_path: Path
) -> None:
    store = make_store(tmp_path, 5, profile="lite", view="flip", images=images)
    completed = LiteStore(store, Stage1(), lite[1])
    for position, image in enumerate(store.images):
        file = Image.open(lite[1].images_dir / image.file_name)
        mirrored = prepare_image(ImageOps.mirror(file), SPEC.preprocessing).pixels[None]
        found = c1_of(completed[position].c1_source)
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
    assert batch.features.c1 is None  # stage 1 has not run yet
    features = batch.to("cpu").features
    assert features.c1 is not None
    for index, name in enumerate(batch.image_names):
        expected = c1_of(completed[store.position(int(name.split()[0]))].c1_source)
        height, width = expected.shape[:2]
        assert features.c1_hw[index].tolist() == [height, width]
        assert torch.equal(features.c1[index, :height, :width], expected)
    assert source.describe()["profile"] == "lite"


def demo_store(root: Path, detector: Detector, dataset: CocoDataset, **fields: Any) -> Store:
    digests = image_digests(dataset, root)
    identity = store_identity(
        detector.spec, dataset, digests, split="train", dtype="float32", **fields
    )
    with StoreWriter.open(root, identity) as writer:
        config = ExtractConfig(batch_size=3, precision=identity.precision)
        return Store.open(extract(detector, dataset, writer, config).path)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_lite_and_full_stores_give_the_same_losses_and_maps_up_to_their_edges(
    precision: Precision, tmp_path: Path
) -> None:
    generate(tmp_path, num_train=6, num_val=0, seed=3)  # of several sizes
    dataset = read_dataset(*split_paths(tmp_path, "train"))
    detector = load_detector("demo")
    full, lite = (
        demo_store(tmp_path, detector, dataset, profile=profile, precision=precision)
        for profile in ("full", "lite")
    )
    assert (full.has_c1, lite.has_c1) == (True, False)
    sources = [
        StoredSource(store, build_targets(store, dataset, tmp_path), HEAD, TRAIN)
        if store.has_c1
        else StoredSource(
            LiteStore(store, detector, dataset),
            build_targets(store, dataset, tmp_path),
            HEAD,
            TRAIN,
        )
        for store in (full, lite)
    ]
    padded = 0
    for ours, theirs in zip(*(source.batches(0, 2) for source in sources), strict=True):
        found, expected = ours.to("cpu").features, theirs.to("cpu").features
        assert found.c1 is not None
        assert torch.equal(found.c1_hw, expected.c1_hw)
        torch.testing.assert_close(found.c1, expected.c1, rtol=1e-5, atol=1e-5)
        padded += int((found.c1_hw[:, 1] < found.c1.shape[2]).sum())
    assert padded  # so that right and bottom edges beside padding were compared
    expected, found = (train_losses(HEAD, source, TRAIN) for source in sources)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


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


@pytest.mark.parametrize("view", ["base", "flip"])
def test_lite_features_of_an_image_that_was_exchanged_are_refused(
    view: str, images: Sequence[StoreImage], lite: tuple[Store, CocoDataset], tmp_path: Path
) -> None:
    store = make_store(tmp_path, 5, profile="lite", view=view, images=images)
    completed = LiteStore(store, Stage1(), lite[1])
    file = lite[1].images_dir / images[2].file_name
    file.write_bytes(file.read_bytes() + b" ")  # still a whole image of that size
    assert completed[1].c1_source is not None
    with pytest.raises(DataError, match=r"is not the file that was listed.*mfd extract"):
        completed[2]
