"""Fields of a dataclass set from text."""

from dataclasses import dataclass
from typing import Literal

import pytest

from mfd.errors import ConfigError
from mfd.settings import replace_from_strings


@dataclass(frozen=True)
class Oven:
    temperature: int = 180
    door: float = 0.5
    fan: bool = False
    label: str = "top"
    heat: Literal["grill", "steam"] = "grill"
    timer: int | None = 10


def test_each_text_becomes_its_fields_type() -> None:
    texts = {
        "temperature": "200",
        "door": "1e-3",
        "fan": "true",
        "label": "12",
        "heat": "steam",
        "timer": "none",
    }
    assert replace_from_strings(Oven(), texts) == Oven(200, 0.001, True, "12", "steam", None)
    assert replace_from_strings(Oven(), {"timer": "7", "fan": "0"}) == Oven(timer=7, fan=False)


def test_nothing_given_changes_nothing() -> None:
    assert replace_from_strings(Oven(label="x"), {}) == Oven(label="x")


def test_an_unknown_field_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="no field 'temprature'; nearest: 'temperature'"):
        replace_from_strings(Oven(), {"temprature": "200"})


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("temperature", "1.5", "of type int"),
        ("door", "wide", "of type float"),
        ("fan", "maybe", "true or false"),
        ("heat", "smoke", "one of grill, steam"),
        ("timer", "soon", "of type int"),
        ("temperature", "none", "of type int"),
    ],
)
def test_a_text_of_another_type_is_refused(name: str, text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} must be {expected}.*{text!r}"):
        replace_from_strings(Oven(), {name: text})
