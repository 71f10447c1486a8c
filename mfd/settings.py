"""Frozen dataclasses of settings, filled from code, text, TOML and JSON, and checked by pydantic.

A field is declared once, with its default, its bounds and what it means:

    @settings
    class Oven:
        temperature: int = setting("Degrees Celsius.", default=180, ge=50, le=300)

Flags of the command line, sections of `mfd.toml`, `--set field=value` and run folders all come
through here, so a wrong value gets the same one-line refusal wherever it was written.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, dataclass_transform, get_args, get_type_hints

import pydantic
from pydantic.dataclasses import dataclass as validated_dataclass
from pydantic.fields import FieldInfo

from mfd.errors import ConfigError, MfdError
from mfd.text import short, suggest

Settings = TypeVar("Settings")

# hints of settings that are texts, for `expanded`
NAME_OR_PATH: dict[str, Any] = {"text": "name or path"}
PATH_OR_URL: dict[str, Any] = {"text": "path or URL"}

_STRICT = pydantic.ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "a text",
    "path": "a path",
    "tuple": "a list",
    "dict": "a table",
}
_BOUNDS = {
    "greater_than_equal": "{ge:g} or more",
    "greater_than": "more than {gt:g}",
    "less_than_equal": "{le:g} or less",
    "less_than": "less than {lt:g}",
    "finite_number": "a finite number",
}


class Setting(NamedTuple):
    """A declared field: its name, type, default, what it means, and hints for the command line."""

    name: str
    type: Any
    default: Any
    text: str
    extra: Mapping[str, Any]


def setting(text: str, *, default: Any, extra: dict[str, Any] | None = None, **bounds: Any) -> Any:
    """Declare a field of a `settings` class.

    Args:
        text: what it means, one or two sentences; shown in help texts and tables.
        default: its value if nothing else is given.
        extra: hints for the command line, such as `{"argument": True}`.
        bounds: pydantic's: ge, gt, le, lt, pattern ...
    """
    return pydantic.Field(default, description=text, json_schema_extra=extra, **bounds)


@dataclass_transform(frozen_default=True, field_specifiers=(setting,))
def settings(cls: type[Settings]) -> type[Settings]:
    """A frozen dataclass whose fields are checked whenever an instance is made.

    Values must already be of their field's type: `roi_size="16"` and `neck=1` are refused.

    Raises (by the class it returns):
        ConfigError: all fields that cannot be, with what was found and expected; whatever the
            class's own `__post_init__` refuses.
    """
    made: Any = validated_dataclass(frozen=True, config=_STRICT)(cls)
    checked_init = made.__init__

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        _refusing(made, lambda: checked_init(self, *args, **kwargs))

    made.__init__ = __init__
    return made


def from_json(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    """The settings that `dataclasses.asdict` gave as `values`, or TOML has as a table.

    Texts stand for paths and lists for tuples; nothing else is converted.

    Raises:
        ConfigError: for unknown fields and impossible values.
    """
    adapter = pydantic.TypeAdapter(kind)
    text = json.dumps(dict(values), default=str)
    return _refusing(kind, lambda: adapter.validate_json(text, strict=True))


def replace_from_texts(given: Settings, texts: Mapping[str, str]) -> Settings:
    """A copy with the named fields set from text, as `--set` gives them.

    A text is read as its field's type: numbers, true/false (yes/no, 1/0), one of several words;
    `none` where a field may be None.

    Raises:
        ConfigError: for unknown fields and impossible values.
    """
    types = get_type_hints(type(given))
    values: dict[str, Any] = {f.name: getattr(given, f.name) for f in dataclasses.fields(given)}  # type: ignore[arg-type]
    for name, text in texts.items():
        is_none = text.lower() == "none" and type(None) in get_args(types.get(name))
        values[name] = None if is_none else text
    adapter = pydantic.TypeAdapter(type(given))
    return _refusing(type(given), lambda: adapter.validate_python(values, strict=False))


def declared(kind: type[Any]) -> list[Setting]:
    """The fields of a `settings` class, in their order."""
    types = get_type_hints(kind)
    found = []
    for field in dataclasses.fields(kind):
        info = field.default
        assert isinstance(info, FieldInfo), (
            f"{kind.__name__}.{field.name}: declare it with setting()"
        )
        extra = info.json_schema_extra
        hints = extra if isinstance(extra, dict) else {}
        text = info.description or ""
        found.append(Setting(field.name, types[field.name], info.default, text, hints))
    return found


def expanded(
    kind: type[Any], values: Mapping[str, Any], folder: Path | None = None
) -> dict[str, Any]:
    """The values with `~` in paths resolved and relative ones counted from `folder`.

    Paths are all values of fields of type Path, lists of them too, and what the texts of fields
    with the hint `NAME_OR_PATH` or `PATH_OR_URL` name.

    Raises:
        ConfigError: `~name` of a user that does not exist.
    """
    found = dict(values)
    for field in declared(kind):
        value = values.get(field.name)
        resolve = _resolver(field)
        if resolve is None:
            continue
        if isinstance(value, list | tuple):
            found[field.name] = [
                resolve(v, folder) if isinstance(v, str | Path) else v for v in value
            ]
        elif isinstance(value, str | Path):
            found[field.name] = resolve(value, folder)
    return found


def _resolver(field: Setting) -> Callable[[str | Path, Path | None], str | Path] | None:
    """How a field's values are resolved; None if they name no places."""
    if field.type is Path or Path in get_args(field.type):
        return resolved
    by_hint = {NAME_OR_PATH["text"]: _named, PATH_OR_URL["text"]: _checkpoint}
    return by_hint.get(field.extra.get("text"))


def _checkpoint(value: str | Path, folder: Path | None) -> str:
    return str(value) if "://" in str(value) else str(resolved(value, folder))


def _named(value: str | Path, folder: Path | None) -> str:
    """A name as it is; resolved where it is a path: by how it begins, or because it is there."""
    text = str(value)
    kind, colon, place = text.partition(":")
    if colon and kind.isalnum() and ".py:" not in text:
        local = resolved(place, folder)  # of hf:PLACE or sam:PLACE; if absent, it is on the Hub
        return f"{kind}:{local}" if local.is_dir() else text
    path = resolved(text, folder)
    is_path = ".py:" in text or text.startswith((".", "~")) or ("/" in text and path.exists())
    return str(path) if is_path else text


def resolved(value: str | Path, folder: Path | None) -> Path:
    """The path with `~` resolved; a relative one counts from `folder`, if that is given.

    Raises:
        ConfigError: `~name` of a user that does not exist.
    """
    try:
        path = Path(value).expanduser()
    except RuntimeError as error:  # no such user, or no home
        raise ConfigError(f"{value} names a home folder that does not exist") from error
    return path if folder is None else folder / path


def _refusing(kind: type[Any], build: Callable[[], Any]) -> Any:
    """What `build` returns; pydantic's refusal as one line."""
    try:
        return build()
    except pydantic.ValidationError as error:
        faults = error.errors(include_url=False)
        for fault in faults:
            if isinstance(raised := fault.get("ctx", {}).get("error"), MfdError):
                raise raised from error
        lines = dict.fromkeys(_explained(kind, fault) for fault in faults)  # a union repeats itself
        raise ConfigError("; ".join(lines)) from error


def _explained(kind: type[Any], fault: Any) -> str:
    """One fault: what was found, what was expected."""
    name = str(fault["loc"][0]) if fault["loc"] else kind.__name__
    context, cause = fault.get("ctx", {}), fault["type"]
    if cause in ("unexpected_keyword_argument", "extra_forbidden"):
        known = [field.name for field in dataclasses.fields(kind)]
        return f"{kind.__name__} has no field {name!r}; {suggest(name, known)}"
    if cause == "missing":
        return f"{name} is missing; give it a value"
    if cause in _BOUNDS:
        expected = _BOUNDS[cause].format(**context)
    elif cause == "literal_error":
        expected = f"one of {context['expected'].replace(chr(39), '').replace(' or ', ', ')}"
    else:
        base = cause.split("_")[0]
        expected = _TYPES.get(base) or fault["msg"][:1].lower() + fault["msg"][1:]
    return f"{name} must be {expected}, found {short(fault['input'])}"
