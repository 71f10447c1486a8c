"""COCO's category ids against its own annotations."""

import json
from pathlib import Path

from mfd.coco import COCO_IDS, COCO_NAMES


def test_category_ids_are_eighty_up_to_90_with_cocos_ten_gaps() -> None:
    assert len(COCO_IDS) == 80
    assert list(COCO_IDS) == sorted(COCO_IDS)
    assert sorted(set(range(1, 91)) - set(COCO_IDS)) == [12, 26, 29, 30, 45, 66, 68, 69, 71, 83]


def test_categories_are_those_of_cocos_annotations(shared: Path) -> None:
    file = shared / "real/coco/annotations/instances_val2017.json"
    categories = json.loads(file.read_text())["categories"]
    assert {category["id"]: category["name"] for category in categories} == COCO_NAMES
