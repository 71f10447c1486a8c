"""The settings of a project folder: `mfd.toml`, overridden by flags."""

import difflib
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from mfd.errors import ConfigError

Profile = Literal["full", "lite"]
StoredDtype = Literal["float16", "int8", "float32"]
Codec = Literal["none", "zstd", "blosc"]
Autocast = Literal["none", "bf16", "fp16"]

FILE_NAME = "mfd.toml"
_TOML_TYPES: dict[type, str] = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "a boolean",
    list: "an array",
    dict: "a table",
}


@dataclass(frozen=True)
class DetectorChoice:
    """Which detector is meant: what `load_detector` needs to load it again.

    Args:
        name: a name, `hf:<repo or folder>` or `path/to/file.py:function`.
        weights: its checkpoint, if it needs one.
        encoder_layer: whose maps are used, counted from 1; None is the detector's default.
    """

    name: str
    weights: str | None = None
    encoder_layer: int | None = None


@dataclass(frozen=True)
class Project:
    """Where things are and which detector is used.

    Args:
        data: COCO folder with `annotations/`, `train2017/` and `val2017/`.
        stores: where feature stores are written and looked for.
        runs: where trained heads are written and looked for.
        detector: a name, `hf:<repo or folder>` or `path/to/file.py:function`.
        weights: the detector's checkpoint, if it needs one.
        encoder_layer: whose maps are used, counted from 1; None is the detector's default.
    """

    data: Path = Path("data/coco")
    stores: Path = Path("stores")
    runs: Path = Path("runs")
    detector: str = "hdetr-r50"
    weights: str | None = None
    encoder_layer: int | None = None

    @property
    def choice(self) -> DetectorChoice:
        """The detector of this project."""
        return DetectorChoice(self.detector, self.weights, self.encoder_layer)

    def override(self, **flags: Any) -> "Project":
        """The same project with every flag that is not None put in its place."""
        return replace(self, **{name: value for name, value in flags.items() if value is not None})


def load_project(folder: Path | None = None) -> Project:
    """The settings in the folder's `mfd.toml`, or the defaults where there is none.

    Relative paths count from the folder; `~` is the user's own.

    Raises:
        ConfigError: if the file is no TOML, or a key is unknown or of the wrong type.
    """
    folder = folder or Path()
    path = folder / FILE_NAME
    if not path.exists():
        return Project()
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    for name, value in values.items():
        _check(path, name, value)
    for name in ("data", "stores", "runs"):
        if name in values:
            values[name] = folder / Path(values[name]).expanduser()
    if "weights" in values and "://" not in values["weights"]:
        values["weights"] = str(folder / Path(values["weights"]).expanduser())
    detector = values.get("detector", "")
    if ".py:" in detector:
        values["detector"] = str(folder / Path(detector).expanduser())
    elif detector.startswith("hf:"):
        repo = Path(detector.removeprefix("hf:")).expanduser()
        if (folder / repo).is_dir():
            values["detector"] = f"hf:{folder / repo}"
    return Project(**values)


def _check(path: Path, name: str, value: Any) -> None:
    known = sorted(field.name for field in fields(Project))
    if name not in known:
        if isinstance(value, dict):
            raise ConfigError(
                f"{path} has a section [{name}], expected none; write `data = ...` and so on at "
                "its top"
            )
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
        raise ConfigError(f"{path}: unknown key {name!r}; {hint}")
    expected = int if name == "encoder_layer" else str
    if not isinstance(value, expected) or isinstance(value, bool):
        found = _TOML_TYPES.get(type(value), "a date")
        raise ConfigError(f"{path}: {name} must be {_TOML_TYPES[expected]}, found {found}")
