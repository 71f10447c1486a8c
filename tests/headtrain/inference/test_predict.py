import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils

from mfd.cache import Store
from mfd.coco import CocoDataset
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.inference.predict import NamedImage, draw_predictions, predict, write_predictions
from tests.headtrain.scenes import CONFIG, NAMES, SPEC, Knows, make_dataset, make_store


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> CocoDataset:
    return make_dataset(tmp_path_factory.mktemp("data"), images=3)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, dataset: CocoDataset) -> Store:
    return make_store(tmp_path_factory.mktemp("stores"), dataset)


def named(store: Store, index: int, path: str) -> NamedImage:
    features = store[index]
    height, width = features.original_hw
    return NamedImage(Path(path), features, Image.new("RGB", (width, height), (128, 128, 128)))


def test_predictions_are_sorted_named_and_above_the_least_score(
    store: Store, dataset: CocoDataset
) -> None:
    head = Knows(dataset, iou=True)

    everything = predict(head, store[0], {1: "disc"}, min_score=0)
    some = predict(head, store[0], {1: "disc"}, min_score=0.3)

    scores = [p.score for p in everything]
    assert len(everything) == SPEC.max_detections
    assert scores == sorted(scores, reverse=True)
    assert some == [p for p in everything if p.score >= 0.3]
    assert 0 < len(some) < len(everything)
    assert all(p.score <= p.class_score for p in everything)
    assert {p.category for p in everything} == {"disc", "3", "90"}


def test_a_predicted_mask_is_the_object(store: Store, dataset: CocoDataset) -> None:
    found = predict(Knows(dataset), store[1], NAMES)

    objects = [o.segmentation for o in dataset.annotations[store.image_ids[1]]]
    ious = mask_utils.iou([p.mask for p in found], objects, [0] * 3)
    assert ious.max(0) == pytest.approx(1, abs=0.25)
    assert found[0].pixels().shape == store[1].original_hw
    assert found[0].pixels().sum() == mask_utils.area(found[0].mask)


def test_pictures_and_coco_json_are_written(
    store: Store, dataset: CocoDataset, tmp_path: Path
) -> None:
    images = [
        named(store, 0, "a/cat.jpg"),
        named(store, 1, "dog.png"),
        named(store, 2, "b/cat.jpg"),
    ]

    written = write_predictions(Knows(dataset), iter(images), tmp_path / "out", NAMES)

    names = ["cat.png", "dog.png", "cat-2.png", "predictions.json"]
    assert [path.name for path in written] == names
    assert all(path.parent == tmp_path / "out" and path.exists() for path in written)
    entries = json.loads(written[-1].read_text())
    expected = [predict(Knows(dataset), image.features, NAMES) for image in images]
    assert [e["image_id"] for e in entries] == [
        image.features.image_id
        for image, found in zip(images, expected, strict=True)
        for _ in found
    ]
    first, found = entries[0], expected[0][0]
    left, top, right, bottom = found.box_xyxy
    assert first["file_name"] == "a/cat.jpg"
    assert first["bbox"] == pytest.approx([left, top, right - left, bottom - top], abs=1e-4)
    assert first["score"] == pytest.approx(found.score, abs=1e-6)
    assert first["segmentation"]["counts"].encode() == found.mask["counts"]
    with Image.open(written[0]) as picture:
        assert np.ptp(np.asarray(picture)) > 100  # something was drawn


def test_a_query_is_drawn_once_with_its_best_category(store: Store, dataset: CocoDataset) -> None:
    everything = predict(Knows(dataset), store[0], NAMES, min_score=0)
    of_one_query = [p for p in everything if p.query == everything[0].query]
    assert len(of_one_query) > 1
    grey = named(store, 0, "x").rgb

    several, best = (draw_predictions(grey, found) for found in (of_one_query, of_one_query[:1]))

    assert (np.asarray(several) == np.asarray(best)).all()


def test_no_instance_leaves_the_picture_and_an_empty_list(store: Store, tmp_path: Path) -> None:
    head = MaskHead(CONFIG, SPEC).eval()

    picture, results = write_predictions(
        head, [named(store, 0, "x.png")], tmp_path, NAMES, min_score=1
    )

    assert json.loads(results.read_text()) == []
    with Image.open(picture) as drawn:
        assert (np.asarray(drawn) == 128).all()
