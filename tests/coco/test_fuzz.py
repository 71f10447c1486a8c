"""Mutated COCO files are read or refused in one line: never another error, never a hang."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from mfd.coco import (
    check_consistency,
    decode_segmentation,
    encode_segmentation,
    read_dataset,
)
from tests.builders.mutations import mutated_text, mutated_value, require_used_or_named


def sound() -> dict[str, Any]:
    triangle = [2.0, 3.0, 20.0, 5.0, 9.0, 30.0]
    return {
        "images": [
            {"id": 9, "file_name": "a.jpg", "height": 37, "width": 53},
            {"id": 25, "file_name": "b/c.png", "height": 31, "width": 47},
        ],
        "categories": [{"id": 90, "name": "toothbrush"}, {"id": 1, "name": "person"}],
        "annotations": [
            {
                "id": i,
                "image_id": 9 if i % 2 else 25,
                "category_id": 90,
                "bbox": [2.0, 3.0, 18.0, 27.0],
                "area": 240.5,
                "iscrowd": int(i == 3),
                "segmentation": [triangle]
                if i % 3
                else {"size": [37, 53] if i % 2 else [31, 47], "counts": [9, 99, (37 * 53) - 108]},
            }
            for i in range(1, 7)
        ],
    }


def use(path: Path, **options: bool) -> None:
    """All that is done with a data set before a detector sees it."""
    dataset = read_dataset(path, path.parent, **options)
    for finding in (*check_consistency(dataset), *dataset.skipped_by_kind()):
        assert "\n" not in str(finding)
        str(finding).encode()
    for image in dataset.images:
        image.file_name.encode()
        for annotation in dataset.annotations.get(image.image_id, ()):
            encode_segmentation(annotation.segmentation or [], image.size_hw)
            if image.size_hw[0] * image.size_hw[1] < 1e6 and annotation.has_mask:
                decode_segmentation(annotation.segmentation, image.size_hw)
    for name in dataset.categories.values():
        name.encode()
    dataset.missing()


def check(path: Path, **options: bool) -> None:
    require_used_or_named(lambda: use(path, **options), path.name)


@pytest.mark.parametrize("seed", range(20))
def test_a_mutated_value_is_used_or_named(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    for number in range(25):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(mutated_value(sound(), chance)))
        check(path, skip_invalid=chance.random() < 0.5)
        check(path, skip_invalid=True)


@pytest.mark.parametrize("seed", range(10))
def test_mutated_bytes_are_used_or_named(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    whole = json.dumps(sound()).encode()
    for number in range(40):
        path = tmp_path / f"{number}.json"
        path.write_bytes(mutated_text(whole, chance))
        check(path, skip_invalid=chance.random() < 0.5)
