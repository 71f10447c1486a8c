"""`mfd.toml`: the settings of a project folder, which flags override.

    data = "/data/coco"
    detector = "hdetr-r50"
    weights = "r50.pth"
    prompts = ["car", "traffic light"]   # only if the detector looks for what a text says

    [extract]             # a section per command: its flags, with underscores
    batch_size = 8

    [data]                # in place of `data`: image folder and annotation file of each split
    train.images = "photos"
    train.annotations = "train.json"

    [categories]          # what the detector calls the classes of the annotations, where mfd asks
    "cars" = "car"

The file is looked for in the working folder and upwards, as git does with its own; relative paths
count from the file's folder, also where a name could stand (`val = "./store"`). Importing this
takes no time: no torch.
"""

import dataclasses
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from mfd.errors import ConfigError
from mfd.settings import (
    NAME_OR_PATH,
    PATH_OR_URL,
    expanded,
    from_json,
    resolved,
    setting,
    settings,
)
from mfd.text import short, suggest

Profile = Literal["full", "lite"]
StoredDtype = Literal["float16", "int8", "int4", "int3", "coarse", "float32"]
Codec = Literal["none", "zstd", "blosc"]
Precision = Literal["float32", "bfloat16", "float16"]
PrecisionChoice = Literal["auto", "float32", "bfloat16", "float16"]
Exif = Literal["ignore", "apply"]
Evaluator = Literal["pycocotools", "vernier"]
ExportFormat = Literal["onnx", "torch"]
ExportParts = Literal["both", "head", "model"]

FILE_NAME = "mfd.toml"


@dataclasses.dataclass(frozen=True)
class DetectorChoice:
    """Which detector is meant: what `load_detector` needs to load it again.

    Args:
        name: a name, `hf:<repo or folder>` or `path/to/file.py:function`.
        weights: its checkpoint, if it needs one.
        encoder_layer: layer whose feature maps are stored (1-based); None: detector's default.
        prompts: its categories, if it looks for what a text says.
    """

    name: str
    weights: str | None = None
    encoder_layer: int | None = None
    prompts: tuple[str, ...] = ()

    def notes(self) -> dict[str, str]:
        """All but the layer as texts, to keep with what the detector computed."""
        prompts = json.dumps(self.prompts) if self.prompts else ""
        noted = {"detector": self.name, "weights": self.weights or "", "prompts": prompts}
        return {name: text for name, text in noted.items() if text}

    def where_it_is(self, project: "DetectorChoice") -> "DetectorChoice":
        """This; if its file is gone, by the project's file, and with the project's weights if any.

        So `mfd.toml` says where a file was moved. Layer and prompts stay; whether it is the same
        detector, the digest of its weights tells.
        """
        file, _, _ = self.name.rpartition(":")
        if ".py:" not in self.name or ".py:" not in project.name or Path(file).is_file():
            return self
        weights = project.weights or self.weights
        return dataclasses.replace(self, name=project.name, weights=weights)

    @classmethod
    def noted(cls, notes: Mapping[str, str], name: str) -> "DetectorChoice":
        """What `notes` gave; `name` is the detector's where it was not noted.

        Raises:
            ConfigError: the noted prompts are not a list of texts.
        """
        text = notes.get("prompts", "[]")
        try:
            prompts = json.loads(text)
        except ValueError:
            prompts = None
        if not isinstance(prompts, list):
            raise ConfigError(f"prompts are noted as {short(text)}, expected a list; extract again")
        given = tuple(map(str, prompts))
        return cls(notes.get("detector", name), notes.get("weights") or None, prompts=given)


@settings
class Project:
    """Where things are and which detector is used."""

    data: Path = setting(
        "Folder of the data set: COCO's, YOLO's with data.yaml, or Roboflow's.",
        default=Path("data/coco"),
    )
    stores: Path = setting("Folder of the feature stores.", default=Path("stores"))
    runs: Path = setting("Folder of the trained heads.", default=Path("runs"))
    detector: str = setting(
        "Name, hf:<repo or folder> or file.py:function.", default="hdetr-r50", extra=NAME_OR_PATH
    )
    weights: str | None = setting("The detector's checkpoint.", default=None, extra=PATH_OR_URL)
    encoder_layer: int | None = setting(
        "Encoder layer whose feature maps are used (1-based).", default=None, ge=1
    )
    prompts: tuple[str, ...] = setting(
        "Categories of a detector that looks for what a text says, such as a Grounding DINO.",
        default=(),
    )
    exif: Exif | None = setting(
        "apply turns images as their EXIF orientation says, ignore takes them as stored, as COCO's "
        "labels need it (default: as the detector says, which is ignore for all of mfd's).",
        default=None,
    )
    splits: dict[str, tuple[Path, Path]] = setting(
        "Image folder and annotation file by the name of a split, in place of `data`.", default={}
    )
    categories: dict[str, str | int | bool] = setting(
        "For names of categories in annotations the detector's name or number; false for none.",
        default={},
    )
    file_locks: bool = setting(
        "Lock stores and runs against a second process; off for file systems without locks.",
        default=True,
    )

    @property
    def choice(self) -> DetectorChoice:
        """The detector of this project."""
        return DetectorChoice(self.detector, self.weights, self.encoder_layer, self.prompts)

    def override(self, **flags: Any) -> "Project":
        """The same project with every flag that is not None put in its place.

        A folder given as `data` takes the place of the splits of the file too.
        """
        given = {name: value for name, value in flags.items() if value is not None}
        if "data" in given:
            given["splits"] = {}
        return from_json(Project, {**vars(self), **expanded(Project, given)})


@dataclasses.dataclass(frozen=True)
class ProjectFile:
    """A project and the sections of its file.

    Attributes:
        project: the settings that all commands share.
        sections: by a command's name, what its table holds; paths are resolved.
        path: the file; None where there is none.
    """

    project: Project = dataclasses.field(default_factory=Project)
    sections: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    path: Path | None = None


def load_project(start: Path | None = None, commands: tuple[str, ...] = ()) -> ProjectFile:
    """The settings of the nearest `mfd.toml`, or the defaults where there is none.

    Relative paths, the defaults among them, count from the file's folder; `~` is the user's own.

    Args:
        start: where the search begins; the working folder by default.
        commands: whose sections are allowed.

    Raises:
        ConfigError: if the file is not valid TOML, or a key is unknown or of the wrong type.
    """
    start = start or Path()
    folder = find_folder(start)
    if folder is None:
        return ProjectFile()
    path = folder / FILE_NAME
    if not path.is_file():  # reading a pipe would wait
        raise ConfigError(f"{path} is not a regular file, expected the settings; move it")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror})") from error
    sections = {name: value for name, value in values.items() if isinstance(value, dict)}
    categories = _categories(path, sections.pop("categories", {}))
    splits = _splits(path, folder, sections.pop("data", {}))
    for name in sections:
        if name not in commands:
            raise ConfigError(
                f"{path} has a section [{name}]; {suggest(name, commands)}; settings that all "
                "commands share, such as data = ..., stand at its top"
            )
    top = {name: value for name, value in values.items() if not isinstance(value, dict)}
    defaults = {name: folder / getattr(Project(), name) for name in ("data", "stores", "runs")}
    try:
        tables = {"splits": splits, "categories": categories}
        settings = {**defaults, **tables, **expanded(Project, top, folder)}
        project = from_json(Project, settings)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return ProjectFile(project, sections, path)


def find_folder(start: Path) -> Path | None:
    """The nearest folder with an `mfd.toml`, from `start` upwards; None if there is none."""
    if os.path.lexists(start / FILE_NAME):
        return start
    here = start.absolute()
    for parent in here.parents:
        if os.path.lexists(parent / FILE_NAME):
            return Path(os.path.relpath(parent, here))
    return None


def _splits(path: Path, folder: Path, table: Mapping[str, Any]) -> dict[str, tuple[Path, Path]]:
    """Image folder and annotation file of each split in the table [data]."""
    keys = ("images", "annotations")
    for split, places in table.items():
        named = isinstance(places, dict) and places.keys() == set(keys)
        if not named or not all(isinstance(place, str) for place in places.values()):
            raise ConfigError(
                f"{path}: [data] has {split} = {places!r}, expected {split}.images = a folder and "
                f"{split}.annotations = a file"
            )
    return {
        split: (resolved(places[keys[0]], folder), resolved(places[keys[1]], folder))
        for split, places in table.items()
    }


def _categories(path: Path, table: Mapping[str, Any]) -> dict[str, str | int | bool]:
    for name, value in table.items():
        if value is True or not isinstance(value, str | int):
            raise ConfigError(
                f"{path}: [categories] has {name!r} = {value!r}, expected the detector's name or "
                "number of that category, or false for none"
            )
    return dict(table)
