"""JSON text read piece by piece, against `json.loads`."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from mfd.coco.stream import JsonText
from mfd.errors import DataError
from tests.builders.mutations import mutated_text

TEXT = """\
 {"a": [1, {"b": [2.5, "x, ]"]}, []] ,"c":{"d": null}, "\\u00e9": "\\n" , "empty": [ ],
 "a": [ true,-3e2 , "\\ud800"], "n": NaN}
"""


FILE = Path(__file__)  # looked at for what is wrong with it, where the text is no JSON


def whole(encoded: bytes) -> dict[str, Any]:
    members = JsonText(FILE, encoded).members()
    return {k: v if isinstance(v, str | dict | int | float | None) else [*v] for k, v in members}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_members_are_those_of_the_whole_text(encoding: str) -> None:
    encoded = TEXT.encode(encoding)
    assert str(whole(encoded)) == str(json.loads(encoded))


def test_a_list_that_nobody_reads_is_passed_over() -> None:
    assert [key for key, _ in JsonText(FILE, TEXT.encode()).members()] == [
        "a", "c", "é", "empty", "a", "n",
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_mutated_text_is_read_or_refused_as_a_whole_one(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(100):
        encoded = mutated_text(TEXT.encode(), chance)
        try:
            expected = json.loads(encoded)
            expected = str(expected) if isinstance(expected, dict) else None
        except (ValueError, RecursionError):
            expected = None
        try:
            found = str(whole(encoded))
        except DataError:
            found = None
        assert found == expected, encoded


@pytest.mark.parametrize("text", ["{} {}", '{"a": 1,}', "{1: 2}", '{"a": [1 2]}', '{"a" 1}', "{"])
def test_an_error_says_where_it_is_as_json_loads_does(text: str) -> None:
    with pytest.raises(json.JSONDecodeError) as expected:
        json.loads(text)
    at = expected.value.pos
    at += "trailing comma" in expected.value.msg  # the comma's place, from Python 3.13 on
    place = rf"line 1 column {at + 1} \(char {at}\)"
    with pytest.raises(DataError, match=rf"{FILE.name} is not a JSON file: .*{place}"):
        whole(text.encode())
