"""Columns of logits and COCO's category ids."""

from mfd.coco import COCO_IDS
from mfd.detectors.hf.categories import category_ids


def test_80_columns_of_coco_are_its_categories_in_order() -> None:
    assert len(COCO_IDS) == 80
    assert (COCO_IDS[0], COCO_IDS[11], COCO_IDS[-1]) == (1, 13, 90)  # stop sign follows a gap
    assert category_ids(80, {0: "person", 1: "bicycle"}) == COCO_IDS
    assert category_ids(80, {0: "LABEL_0"}) == COCO_IDS


def test_91_columns_are_cocos_ids_as_they_are() -> None:
    assert category_ids(91, {0: "N/A", 1: "person"}) == tuple(range(91))


def test_columns_of_other_data_are_counted() -> None:
    assert category_ids(3, {0: "person", 1: "cat", 2: "dog"}) == (0, 1, 2)
    assert category_ids(80, {0: "bolt", 1: "nut"}) == tuple(range(80))
