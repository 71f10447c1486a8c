"""Views are known by their names; what does not fit together is refused."""

import json

import pytest

from mfd.errors import ConfigError, StoreError
from mfd.images import (
    Placement,
    Preprocessing,
    parse_view,
)
from tests.builders.views import EVERY, HW, NAMES


@pytest.mark.parametrize(("name", "preprocessing"), EVERY)
def test_placement_survives_json(name: str, preprocessing: Preprocessing) -> None:
    placement = parse_view(name).draw(3, HW, preprocessing)
    text = json.dumps(placement.to_json())
    assert Placement.from_json(json.loads(text)) == placement
    assert len(text) < 80


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, 2),
        (0, True),
        (1, 0),
        (3, 36),
        (5, 1),
        (8, 38),
        (9, 0),
        (9, 71),
        (12, 90),
        (4, 2.0),
        (4, "53"),
        (6, -1),
    ],
)
def test_placement_that_does_not_fit_together_is_refused(place: int, value: object) -> None:
    values: list[object] = [0, 37, 53, 37, 53, 0, 0, 53, 37, 70, 91, 70, 91]
    assert Placement.from_json(values).content_hw == (70, 91)
    values[place] = value
    with pytest.raises(StoreError, match="expected 13 whole numbers that fit together"):
        Placement.from_json(values)
    for other in (values[:-1], None, 7, {}):
        with pytest.raises(StoreError, match="expected 13 whole numbers"):
            Placement.from_json(other)


@pytest.mark.parametrize("name", [*NAMES, "ms", "lsj", "lsj:999999999"])
def test_view_is_known_by_its_name(name: str) -> None:
    assert parse_view(name).name == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Base",
        "flip:1",
        "base:0",
        "ms:",
        "ms:-1",
        "ms:1.5",
        "ms:²",
        "ms:1\n",
        "crop:3",
        "ms:10000000000",
    ],
)
def test_unknown_views_are_refused_naming_the_known(text: str) -> None:
    with pytest.raises(ConfigError, match="known: base, flip, ms:SEED, lsj:SEED"):
        parse_view(text)
