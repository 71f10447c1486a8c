"""Weighted images against pycocotools on a data set that really has them several times."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mfd.coco import Annotations, CocoDataset
from mfd.headtrain.evaluation.metrics.bootstrap import difference, draw_images, intervals
from mfd.headtrain.evaluation.metrics.coco import (
    average_precision,
    figures_of,
    ground_truth,
    scored,
)
from mfd.headtrain.evaluation.metrics.matches import Matches
from tests.builders.scenes import NAMES, make_dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> CocoDataset:
    return make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def detections(data: CocoDataset) -> list[dict[str, Any]]:
    """Several near every object, some in other categories, some on nothing, none on two images."""
    random = np.random.default_rng(3)
    found = []
    for image in data.images[:-2]:
        for each in data.annotations[image.image_id]:
            for _ in range(4):
                box = np.array(each.bbox_xywh) + random.normal(0, 3.5, 4)
                category = each.category_id if random.random() < 0.7 else random.choice([*NAMES])
                found.append((image.image_id, int(category), [*box[:2], *abs(box[2:])]))
    scores = random.permutation(len(found)) / len(found)
    return [
        {"image_id": image_id, "category_id": category, "score": float(score), "bbox": box}
        for (image_id, category, box), score in zip(found, scores, strict=True)
    ]


def repeated(
    data: CocoDataset, detections: Sequence[dict[str, Any]], weights: Sequence[int]
) -> tuple[CocoDataset, list[dict[str, Any]]]:
    """Each image as often as its weight, as images of their own."""
    images, annotations, found = [], [], []
    for image, weight in zip(data.images, weights, strict=True):
        for copy in range(weight):
            number = 100 * image.image_id + copy
            images.append(replace(image, image_id=number))
            annotations += [replace(a, image_id=number) for a in data.annotations[image.image_id]]
            found += [
                {**each, "image_id": number}
                for each in detections
                if each["image_id"] == image.image_id
            ]
    return replace(data, images=tuple(images), annotations=Annotations.of(annotations)), found


def test_equal_weights_give_pycocotools_figures_to_the_bit(
    data: CocoDataset, detections: list[dict[str, Any]]
) -> None:
    evaluation = scored(ground_truth(data, "bbox"), detections, "bbox")
    (found,) = Matches(evaluation).figures(np.ones((1, len(data.images)), int))
    expected = average_precision(ground_truth(data, "bbox"), detections, "bbox").overall
    assert found == expected
    assert 0.1 < expected["ap"] < expected["ap50"] < 1  # neither trivial
    assert expected["ap_small"] is not None


def test_weights_count_as_so_many_images(
    data: CocoDataset, detections: list[dict[str, Any]]
) -> None:
    matches = Matches(scored(ground_truth(data, "bbox"), detections, "bbox"))
    weights = draw_images(len(data.images), 5, seed=1)
    assert len({tuple(row) for row in weights.tolist()}) == 5
    for row, found in zip(weights, matches.figures(weights), strict=True):
        again, entries = repeated(data, detections, row.tolist())
        assert found == average_precision(ground_truth(again, "bbox"), entries, "bbox").overall


def test_figures_without_objects_or_detections_are_those_of_pycocotools(data: CocoDataset) -> None:
    once = np.ones((1, len(data.images)), int)
    nothing = ground_truth(replace(data, annotations=Annotations.of()), "bbox")
    entry = {"image_id": 2, "category_id": 1, "score": 0.5, "bbox": [1.0, 2.0, 30.0, 40.0]}
    assert set(Matches(scored(nothing, [entry], "bbox")).figures(once)[0].values()) == {None}
    found = Matches(scored(ground_truth(data, "bbox"), [], "bbox")).figures(once)[0]
    assert found["ap"] == 0
    unseen = Matches(scored(ground_truth(data, "bbox"), [entry], "bbox")).figures(0 * once)[0]
    assert set(unseen.values()) == {None}


def test_resamples_draw_as_many_images_and_are_repeatable() -> None:
    weights = draw_images(7, 200, seed=0)
    assert (weights.sum(1) == 7).all()
    assert (weights == draw_images(7, 200, seed=0)).all()
    assert not (weights == draw_images(7, 200, seed=1)).all()
    assert weights.mean(0) == pytest.approx(np.ones(7), abs=0.3)


def test_intervals_are_the_middle_of_what_is_defined_turned_round() -> None:
    """Of 0, 1/200 ... 1 the middle is 0.025 to 0.975: 0.475 below and above, about 0.25."""
    samples = [{"ap": n / 200, "ap50": 0.5, "ap75": None if n else 0.25} for n in range(201)]
    assert intervals({"ap": 0.75, "ap50": None, "ap75": 0.25}, samples) == {
        "ap": (pytest.approx(0.525), pytest.approx(1.475)),
        "ap75": (0.25, 0.25),
    }
    assert intervals({"ap": 0.5}, []) == {}


def test_differences_are_the_seconds_less_the_firsts() -> None:
    assert difference({"ap": 0.25, "x": None, "y": 1.0}, {"ap": 0.75, "x": 1.0, "y": None}) == {
        "ap": 0.5,
        "x": None,
        "y": None,
    }


def test_intervals_shrink_with_the_number_of_images(tmp_path: Path) -> None:
    """Four times the images, half the width, within a quarter."""
    widths = []
    for count in (10, 40):
        data = make_dataset(tmp_path, count)
        random = np.random.default_rng(5)
        found = [
            {
                "image_id": each.image_id,
                "category_id": each.category_id,
                "score": float(random.random()),
                "bbox": [*(np.array(each.bbox_xywh) * random.uniform(0.8, 1.2, 4))],
            }
            for image in data.images
            for each in data.annotations[image.image_id]
        ]
        evaluation = scored(ground_truth(data, "bbox"), found, "bbox")
        samples = Matches(evaluation).figures(draw_images(count, 200, 0))
        low, high = intervals(figures_of(evaluation).overall, samples)["ap"]
        widths.append(high - low)
    assert widths[1] / widths[0] == pytest.approx(0.5, rel=0.25)
