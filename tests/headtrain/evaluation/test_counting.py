"""Which objects, categories and images count."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mfd.cache import Store
from mfd.coco import Annotations, CocoDataset
from mfd.headtrain.evaluation.evaluate import evaluate
from mfd.headtrain.evaluation.report import Evaluation
from mfd.headtrain.head.model import MaskHead
from tests.builders.scenes import CONFIG, IMAGES, SPEC, Knows, make_store


def with_objects_of(dataset: CocoDataset, image_id: int, **fields: Any) -> CocoDataset:
    """The data set with some fields of one image's objects changed."""
    objects = (found for each in dataset.annotations.values() for found in each)
    changed = (replace(o, **fields) if o.image_id == image_id else o for o in objects)
    return replace(dataset, annotations=Annotations.of(changed))


def test_objects_with_a_box_only_are_noted(store: Store, dataset: CocoDataset) -> None:
    first = dataset.images[0].image_id
    changed = with_objects_of(dataset, first, segmentation=None)

    found, whole = (evaluate(Knows(dataset), store, each) for each in (changed, dataset))

    assert found["boxes"] == whole["boxes"]
    assert found.notes == (
        "objects without a segmentation, which no mask can match: 3; box AP is not affected",
    )


def test_categories_that_only_the_detector_knows_are_ignored(
    known: Evaluation, store: Store, dataset: CocoDataset
) -> None:
    without_hooks = replace(
        dataset,
        categories={1: "disc", 3: "ring"},
        annotations=dataset.annotations.take(
            np.flatnonzero(dataset.annotations.category_ids != 90)
        ),
    )

    fewer = evaluate(Knows(dataset), store, without_hooks)

    assert fewer["masks"].per_category == {k: known["masks"].per_category[k] for k in (1, 3)}


def test_without_objects_ap_is_undefined_and_said_to_be(store: Store, dataset: CocoDataset) -> None:
    evaluation = evaluate(
        MaskHead(CONFIG, SPEC), store, replace(dataset, annotations=Annotations.of())
    )

    assert evaluation["boxes"].ap is None
    assert evaluation["masks"].overall["ap_small"] is None
    assert evaluation.notes == ("AP is undefined: the annotations contain no objects",)
    assert evaluation.to_json()["mask_ap"] is None
    assert evaluation.to_json()["mask_ap_filled_boxes"] is None
    assert evaluation.table().row_count == 2


def test_an_undetected_category_is_named(store: Store, dataset: CocoDataset) -> None:
    first = dataset.images[0].image_id
    changed = with_objects_of(dataset, first, category_id=91)

    notes = evaluate(MaskHead(CONFIG, SPEC), store, changed).notes

    assert notes == ("the detector does not know never found: AP 0",)


def test_images_that_could_not_be_extracted_count_as_missed(
    known: Evaluation, dataset: CocoDataset, tmp_path: Path
) -> None:
    unread = dataset.images[3].image_id
    partial = make_store(tmp_path, dataset, unread=(unread,))

    evaluation = evaluate(Knows(dataset), partial, dataset)

    assert evaluation.images == IMAGES - 1
    assert evaluation.notes == ("images that could not be read, their objects missed: 1",)
    assert evaluation["boxes"].ap < known["boxes"].ap - 0.01
    assert evaluation["masks"].ap < known["masks"].ap - 0.01


def test_only_the_images_of_the_data_set_count(store: Store, dataset: CocoDataset) -> None:
    first = replace(dataset, images=dataset.images[:3])

    assert evaluate(Knows(dataset), store, first).images == 3
