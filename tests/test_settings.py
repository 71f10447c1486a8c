"""Settings from code, text and JSON: what is taken, and what is refused."""

import json
from dataclasses import FrozenInstanceError, asdict, replace
from pathlib import Path
from typing import Any, Literal

import pytest

from mfd.errors import ConfigError
from mfd.settings import declared, from_json, replace_from_texts, setting, settings


@settings
class Oven:
    temperature: int = setting("Degrees Celsius.", default=180, ge=50, le=300)
    door: float = setting("How far it is open.", default=0.5, ge=0, lt=1)
    fan: bool = setting("Whether it turns.", default=False)
    label: str = setting("What is written on it.", default="top")
    heat: Literal["grill", "steam"] = setting("Where heat comes from.", default="grill")
    timer: int | None = setting("Minutes; None: by hand.", default=10)
    book: Path | None = setting("Of recipes.", default=None)

    def __post_init__(self) -> None:
        if self.heat == "steam" and self.door > 0:
            raise ConfigError("heat=steam needs door=0; close it")


def test_each_text_becomes_its_fields_type() -> None:
    texts = {
        "temperature": "200",
        "door": "0",
        "fan": "true",
        "label": "12",
        "heat": "steam",
        "timer": "none",
        "book": "a/b",
    }
    expected = Oven(200, 0.0, True, "12", "steam", None, Path("a/b"))
    assert replace_from_texts(Oven(), texts) == expected
    assert replace_from_texts(Oven(), {"timer": "7", "fan": "0"}) == Oven(timer=7, fan=False)
    assert replace_from_texts(Oven(), {"door": "1e-3"}).door == 0.001


def test_text_none_stays_a_text_where_a_field_cannot_be_none() -> None:
    assert replace_from_texts(Oven(), {"label": "none"}).label == "none"


def test_nothing_given_changes_nothing() -> None:
    assert replace_from_texts(Oven(label="x"), {}) == Oven(label="x")


def test_json_brings_the_settings_back() -> None:
    oven = Oven(temperature=99, timer=None)
    assert from_json(Oven, json.loads(json.dumps(asdict(oven)))) == oven


def test_an_instance_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Oven().temperature = 3  # type: ignore[misc]


def test_unknown_fields_are_refused_with_the_nearest_name() -> None:
    message = "Oven has no field 'temprature'; did you mean 'temperature'"
    with pytest.raises(ConfigError, match=message):
        replace_from_texts(Oven(), {"temprature": "200"})
    with pytest.raises(ConfigError, match=message):
        from_json(Oven, {"temprature": 200})


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("temperature", "1.5", "a whole number"),
        ("temperature", "none", "a whole number"),
        ("temperature", "301", "300 or less"),
        ("door", "wide", "a number"),
        ("door", "1", "less than 1"),
        ("door", "nan", "a finite number"),
        ("fan", "maybe", "true or false"),
        ("heat", "smoke", "one of grill, steam"),
        ("timer", "soon", "a whole number"),
    ],
)
def test_a_text_that_cannot_be_is_refused(name: str, text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name} must be {expected}, found '{text}'$"):
        replace_from_texts(Oven(), {name: text})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"temperature": "200"}, "temperature must be a whole number, found '200'"),
        ({"temperature": 200.0}, "temperature must be a whole number, found 200.0"),
        ({"temperature": True}, "temperature must be a whole number, found True"),
        ({"fan": 1}, "fan must be true or false, found 1"),
        ({"door": float("inf")}, "door must be a finite number, found inf"),
        ({"fan": 1, "timer": "x"}, "fan must be .*; timer must be a whole number, found 'x'"),
        ({"heat": "steam"}, "heat=steam needs door=0; close it"),
    ],
)
def test_code_must_give_the_fields_own_type(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Oven(**values)
    with pytest.raises(ConfigError, match=message):
        replace(Oven(), **values)


def test_every_field_says_what_it_means() -> None:
    first, *_, last = declared(Oven)
    assert (first.name, first.type, first.default, first.text) == (
        "temperature",
        int,
        180,
        "Degrees Celsius.",
    )
    assert last.type == Path | None
