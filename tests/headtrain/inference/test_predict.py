"""Predictions of one batch, against the annotations that the head knows."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pycocotools import mask as mask_utils

from mfd.cache import Store
from mfd.coco import CocoDataset
from mfd.errors import DataError
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.inference.predict import Predictor, predict
from mfd.headtrain.inference.shown import Shown
from tests.builders.runs import HEAD
from tests.builders.scenes import CONFIG, NAMES, SPEC, Knows, make_dataset, make_store
from tests.builders.tiny import detector as tiny_detector


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> CocoDataset:
    return make_dataset(tmp_path_factory.mktemp("data"), images=3)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, dataset: CocoDataset) -> Store:
    return make_store(tmp_path_factory.mktemp("stores"), dataset)


def test_threshold_acts_on_the_class_score(store: Store, dataset: CocoDataset) -> None:
    head = Knows(dataset, iou=True)

    (everything,) = predict(head, [store[0]], NAMES, Shown(min_score=0, categories_per_query="all"))
    (some,) = predict(head, [store[0]], NAMES, Shown(min_score=0.3, categories_per_query="all"))

    assert len(everything) == SPEC.max_detections
    assert some == [p for p in everything if p.class_score >= 0.3]
    assert any(p.score < 0.3 for p in some)  # whatever the mask's quality
    assert 0 < len(some) < len(everything)


def test_default_threshold_is_the_documented_one(store: Store, dataset: CocoDataset) -> None:
    image = store[0]
    image.logits[:] = -9
    image.logits[:3, 0] = torch.logit(torch.tensor([0.39, 0.41, 0.9]))

    (found,) = predict(Knows(dataset), [image], NAMES)

    assert sorted(p.query for p in found) == [1, 2]


def test_quality_has_a_threshold_of_its_own(store: Store, dataset: CocoDataset) -> None:
    head = Knows(dataset, iou=True)

    (everything,) = predict(head, [store[0]], NAMES, Shown(min_score=0))
    (good,) = predict(head, [store[0]], NAMES, Shown(min_score=0, min_quality=0.5))

    assert good == [p for p in everything if p.quality >= 0.5]
    assert 0 < len(good) < len(everything)


def test_predictions_are_sorted_by_class_score_times_quality(
    store: Store, dataset: CocoDataset
) -> None:
    (found,) = predict(Knows(dataset, iou=True), [store[0]], NAMES, Shown(min_score=0))

    scores = [p.class_score * p.quality for p in found]
    assert scores == sorted(scores, reverse=True)
    assert [p.class_score for p in found] != sorted((p.class_score for p in found), reverse=True)


def test_a_query_has_its_best_category_unless_all_are_asked_for(
    store: Store, dataset: CocoDataset
) -> None:
    head = Knows(dataset, iou=True)

    (best,) = predict(head, [store[0]], NAMES, Shown(min_score=0))
    (everything,) = predict(head, [store[0]], NAMES, Shown(min_score=0, categories_per_query="all"))

    queries = [p.query for p in best]
    assert len(queries) == len(set(queries)) < len(everything)
    assert {p.query for p in everything} == set(queries)
    for prediction in best:
        scores = store[0].logits[prediction.query].sigmoid()
        assert prediction.class_score == scores.max()
        assert prediction.category_id == SPEC.category_ids[int(scores.argmax())]
    assert set(best) <= set(everything)


def test_names_are_the_given_ones_or_the_ids(store: Store, dataset: CocoDataset) -> None:
    every = Shown(min_score=0, categories_per_query="all")
    (found,) = predict(Knows(dataset), [store[0]], {1: "disc"}, every)

    assert {p.category for p in found} == {"disc", "3", "90"}


def test_names_are_the_detectors_whatever_the_training_file_called_them() -> None:
    detector = tiny_detector()
    detector.spec = replace(detector.spec, category_names=("disc", "", "hook"))
    predictor = Predictor(detector, MaskHead(HEAD, detector.spec), {1: "Circle", 3: "Ring"})

    assert predictor.names == {1: "disc", 3: "Ring", 90: "hook"}


def test_a_predicted_mask_is_the_object(store: Store, dataset: CocoDataset) -> None:
    (found,) = predict(Knows(dataset), [store[1]], NAMES)

    objects = [o.segmentation for o in dataset.annotations[store.image_ids[1]]]
    ious = mask_utils.iou([p.rle for p in found], objects, [0] * 3)
    assert ious.max(0) == pytest.approx(1, abs=0.25)
    assert found[0].mask.shape == store[1].original_hw
    assert found[0].mask.sum() == mask_utils.area(found[0].rle)


def test_images_of_a_batch_are_told_apart(store: Store, dataset: CocoDataset) -> None:
    head = Knows(dataset, iou=True)
    images = [store[2], store[0], store[1]]

    together = predict(head, images, NAMES, Shown(min_score=0.2))

    assert together == [predict(head, [image], NAMES, Shown(min_score=0.2))[0] for image in images]


def test_class_score_and_quality_are_the_detectors_and_the_heads(store: Store) -> None:
    """The quality of a head without estimates: the mean probability above one half, by hand."""
    torch.manual_seed(3)
    head = MaskHead(CONFIG, SPEC).eval()
    (found,) = predict(head, [store[0]], NAMES, Shown(min_score=0))

    for prediction in found:
        assert 0 <= prediction.quality <= 1
        assert prediction.quality == 0 or prediction.quality > 0.5
    assert np.mean([p.quality for p in found]) > 0


def test_features_that_are_not_finite_are_refused_by_image(
    store: Store, dataset: CocoDataset
) -> None:
    broken = replace(store[1], logits=torch.full_like(store[1].logits, float("nan")))

    with pytest.raises(DataError, match=f"image {store.image_ids[1]} has"):
        predict(Knows(dataset), [store[0], broken], NAMES)
