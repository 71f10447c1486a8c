"""Columns of logits, COCO's category ids, and names."""

from mfd.coco import COCO_IDS, COCO_NAMES
from mfd.detectors.hf.categories import categories

VOC_SPELLING = {3: "motorbike", 4: "aeroplane", 57: "sofa", 62: "tvmonitor"}  # as RT-DETR's config
COCO_LABELS = {**dict(enumerate(COCO_NAMES.values())), **VOC_SPELLING}


def test_80_columns_of_coco_are_its_categories_in_order() -> None:
    assert len(COCO_IDS) == 80
    assert (COCO_IDS[0], COCO_IDS[11], COCO_IDS[-1]) == (1, 13, 90)  # stop sign follows a gap
    assert categories(80, COCO_LABELS) == (COCO_IDS, tuple(COCO_NAMES.values()))


def test_80_columns_without_names_are_not_taken_for_cocos() -> None:
    nameless = {column: f"LABEL_{column}" for column in range(80)}
    assert categories(80, nameless) == (tuple(range(80)), ())


def test_91_columns_are_cocos_ids_as_they_are() -> None:
    labels = {column: COCO_NAMES.get(column, "N/A") for column in range(91)}
    ids, names = categories(91, labels)
    assert ids == tuple(range(91))
    assert (names[0], names[1], names[12], names[90]) == ("", "person", "", "toothbrush")


def test_columns_of_other_data_are_counted_and_keep_their_names() -> None:
    assert categories(3, {0: "person", 1: "cat", 2: "dog"})[0] == (0, 1, 2)
    assert categories(80, {0: "bolt", 1: "nut"})[0] == tuple(range(80))
    assert categories(3, {0: "bolt", 1: "LABEL_1", 2: "nut"})[1] == ("bolt", "", "nut")
