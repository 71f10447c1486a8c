"""Mutated COCO files are read or refused in one line: never another error, never a hang."""

import json
import random
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from mfd.coco import (
    check_consistency,
    decode_segmentation,
    encode_segmentation,
    read_dataset,
)
from mfd.errors import MfdError

NESTED: Any = 7
for _ in range(90):
    NESTED = [NESTED]

HOSTILE = [
    None, True, 0, -1, 1, 2**31, 2**53, 2**63, -(2**63), 2**70, 10**400, 0.5, -0.0, 1e308, -1e308,
    float("nan"), float("inf"), "", "0", "\ud800", "\udcff", "[/b]", "\x1b[2J", "a\nb", "\0", "..",
    "../../etc/passwd", "/dev/zero", "C:\\x", "\\\\host\\x", "x" * 10_000, [], [[]], [[[]]], {},
    [None], [1, 2], [[1, 2], [3, 4], [5, 6]], [[1e308] * 6], [[-1e308, 1e308] * 3], [["1"] * 6],
    {"size": [37, 53], "counts": "0" * 5000}, {"size": [2**31, 2**31], "counts": [2**62]},
    {"size": [37, 53], "counts": [True, 37 * 53 - 1]}, {"size": "37", "counts": {}}, NESTED,
]  # fmt: skip


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


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path to every value inside of another."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return [
        place
        for key, inner in items
        for place in (
            (*path, key),
            *(places(inner, (*path, key)) if isinstance(inner, dict | list) else ()),
        )
    ]


def mutated(chance: random.Random) -> Any:
    content = sound()
    for _ in range(chance.choice((1, 1, 2, 5))):
        every = places(content)
        *path, last = chance.choice(every)
        owner = content
        for key in path:
            owner = owner[key]
        kind = chance.random()
        if kind < 0.15:
            del owner[last]
        elif kind < 0.25 and isinstance(owner, list):
            owner.append(deepcopy(owner[last]))
        elif kind < 0.35:
            *other, key = chance.choice(every)
            value = content
            for step in (*other, key):
                value = value[step] if not isinstance(value, list) or step < len(value) else None
                if not isinstance(value, dict | list):
                    break
            owner[last] = deepcopy(value)
        else:
            owner[last] = deepcopy(chance.choice(HOSTILE))
    return content


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


def refusal(path: Path, **options: bool) -> str:
    """The error in one line that can be printed; the file's name if there is none."""
    try:
        use(path, **options)
    except MfdError as error:
        return str(error)
    return path.name


def check(path: Path, **options: bool) -> None:
    text = refusal(path, **options)
    assert path.name in text
    assert len(text.splitlines()) == 1
    assert len(text) < 10_000
    text.encode()


@pytest.mark.parametrize("seed", range(20))
def test_a_mutated_value_is_used_or_named(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    for number in range(25):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(mutated(chance)))
        check(path, skip_invalid=chance.random() < 0.5)
        check(path, need_masks=False, skip_invalid=True)


@pytest.mark.parametrize("seed", range(10))
def test_mutated_bytes_are_used_or_named(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    whole = json.dumps(sound()).encode()
    for number in range(40):
        content = bytearray(whole)
        for _ in range(chance.choice((1, 3, 30))):
            place = chance.randrange(len(content))
            kind = chance.random()
            if kind < 0.5:
                content[place] = chance.choice(b'0123456789-.eE,:[]{}"\\ \x00\xff\xef')
            elif kind < 0.7:
                del content[place : place + chance.randrange(40)]
            elif kind < 0.9:
                content[place:place] = content[: chance.randrange(60)]
            else:
                content[place:place] = b"[" * chance.choice((3, 2000))
        path = tmp_path / f"{number}.json"
        path.write_bytes(content)
        check(path, skip_invalid=chance.random() < 0.5)
