"""Any frozen dataclass of settings from text (`--set field=value`) and from JSON."""

import difflib
import types
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from mfd.errors import ConfigError

Settings = TypeVar("Settings")

_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def replace_from_strings(settings: Settings, values: Mapping[str, str]) -> Settings:
    """A copy of a frozen dataclass with the named fields set from text.

    Each text is read as its field's type: int, float, bool (true/false, yes/no, 1/0), str, a
    `Literal` of strings, or one of these or `none`.

    Raises:
        ConfigError: for a name that is no field (the nearest one is offered) or a text that is
            not of the field's type; whatever the dataclass itself refuses is raised by it.
    """
    hints = get_type_hints(type(settings))
    names = [field.name for field in fields(settings)]  # type: ignore[arg-type]
    for name in values:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)[0]
            raise ConfigError(
                f"{type(settings).__name__} has no field {name!r}; nearest: {near!r}; "
                f"all: {', '.join(names)}"
            )
    parsed = {name: _parse(name, text, hints[name]) for name, text in values.items()}
    return replace(settings, **parsed)  # type: ignore[type-var]


def from_json(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    """The settings whose fields `dataclasses.asdict` gave as `values`.

    Raises:
        ConfigError: for fields this version does not know; whatever the dataclass refuses.
    """
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - names):
        raise ConfigError(
            f"{kind.__name__} has no field {unknown[0]!r}; was it saved by a newer mfd?"
        )
    return kind(**values)


def check_types(settings: Any) -> None:
    """Refuse values that are not of their field's annotated type, as a JSON file may hold.

    Raises:
        ConfigError: naming the field.
    """
    hints = get_type_hints(type(settings))
    for field in fields(settings):
        value, kind = getattr(settings, field.name), hints[field.name]
        if not _is_of(value, kind):
            raise ConfigError(f"{field.name} must be {_shown(kind)}, found {value!r}")


def _is_of(value: Any, kind: Any) -> bool:
    """A whole number passes for a float, but neither a bool for a number nor one for a bool."""
    if get_origin(kind) in (Union, types.UnionType):
        return any(_is_of(value, member) for member in get_args(kind))
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    return type(value) in ((int, float) if kind is float else (kind,))


def _shown(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    return f"of type {kind.__name__ if isinstance(kind, type) else kind}"


def _parse(name: str, text: str, kind: Any) -> Any:
    """The text as a value of the annotated type."""
    if get_origin(kind) in (Union, types.UnionType):
        if text.lower() == "none" and type(None) in get_args(kind):
            return None
        (kind,) = (member for member in get_args(kind) if member is not type(None))
    if get_origin(kind) is Literal:
        if text not in get_args(kind):
            raise ConfigError(f"{name} must be one of {', '.join(get_args(kind))}; found {text!r}")
        return text
    if kind is bool:
        if text.lower() not in _BOOLEANS:
            raise ConfigError(f"{name} must be true or false, found {text!r}")
        return _BOOLEANS[text.lower()]
    try:
        return kind(text)
    except ValueError as error:
        raise ConfigError(f"{name} must be of type {kind.__name__}, found {text!r}") from error
