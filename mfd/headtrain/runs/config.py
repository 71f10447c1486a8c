"""What a run was trained with and on: the content of its `config.json`."""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import Any

import pydantic
import torch
from pydantic.dataclasses import dataclass
from pydantic_core import from_json

import mfd
from mfd.cache import difference
from mfd.config import DetectorChoice
from mfd.detectors import DetectorSpec
from mfd.errors import ConfigError, MfdError
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.config.train import FREE_ON_RESUME, TrainConfig
from mfd.text import short

SCHEMA = 2
_SCHEMA_1 = {"mfd", "head", "detector", "categories", "train", "features", "targets", "versions"}


def _versions() -> dict[str, str]:
    return {
        "mfd": mfd.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


@dataclass(frozen=True, config=pydantic.ConfigDict(extra="forbid"))
class RunConfig:
    """Everything a run says of itself.

    Args:
        head: the head's architecture.
        spec: of the detector whose features it reads.
        detector: how that detector is loaded again.
        categories: name of each category id.
        train: the recipe; None for a head that comes without its run.
        preset: the head's name in the paper's tables, if it has one.
        source: what the batch source said of itself, see `BatchSource.describe`.
        validation: what was validated on, see `Validation.describe`; empty if nothing was.
        versions: of the software that began the run.
    """

    head: HeadConfig
    spec: DetectorSpec
    detector: DetectorChoice
    categories: dict[int, str]
    train: TrainConfig | None = None
    preset: str | None = None
    source: dict[str, Any] = field(default_factory=dict)
    validation: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=_versions)

    def to_json(self) -> dict[str, Any]:
        """The content of `config.json` as plain JSON values."""
        return json.loads(json.dumps({"schema": SCHEMA, **asdict(self)}))

    def difference(self, other: "RunConfig") -> str | None:
        """The first thing in which runs differ whose weights then differ; None if nothing does.

        Where files were, names and versions may differ.
        """
        return difference(_decisive(self.to_json()), _decisive(other.to_json()))


def anywhere(choice: DetectorChoice) -> DetectorChoice:
    """The same detector by paths that can be followed from every working folder."""
    name, weights = choice.name, choice.weights
    kind, colon, place = name.partition(":")
    if ".py:" in name:
        name = str(Path(name).absolute())
    elif kind == "hf" and Path(place).is_dir():
        name = f"{kind}{colon}{Path(place).absolute()}"
    if weights is not None and "://" not in weights:
        weights = str(Path(weights).absolute())
    return replace(choice, name=name, weights=weights)


def portable(config: RunConfig) -> RunConfig:
    """The same without folders of this machine: of local files, only their names."""
    choice = config.detector
    kind, colon, place = choice.name.partition(":")
    name, weights = choice.name, choice.weights
    if ".py:" in name or (kind == "hf" and Path(place).is_absolute()):
        name = Path(name).name if ".py:" in name else f"{kind}{colon}./{Path(place).name}"
    if weights is not None and "://" not in weights:
        weights = Path(weights).name
    return replace(
        config,
        detector=replace(choice, name=name, weights=weights),
        source=_without_paths(config.source),
        validation=_without_paths(config.validation),
    )


def read_config(path: Path) -> RunConfig:
    """The content of a `config.json`, of this schema or the one before.

    Raises:
        ConfigError: there is none, it is not a run's or a head's, or it is damaged.
    """
    if path.exists() and not path.is_file():  # reading a pipe would wait
        raise ConfigError(f"{path} is not a regular file; restore it")
    try:
        values = from_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        lacks = f"{path.name} is missing" if path.parent.is_dir() else "there is no such folder"
        raise ConfigError(
            f"{path.parent} holds no head: {lacks}; give the folder of a run, as runs/NAME"
        ) from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not a JSON file: {error}; restore it") from error
    if not isinstance(values, dict) or "head" not in values or "detector" not in values:
        raise ConfigError(f"{path} does not describe a head; expected 'head' and 'detector'")
    schema = values.pop("schema", 1)
    if type(schema) is not int or not 1 <= schema <= SCHEMA:
        raise ConfigError(
            f"{path} has schema {short(schema)}, this mfd reads 1 to {SCHEMA}; update mfd"
        )
    if schema == 1:
        values = _from_schema_1(path, values)
    if isinstance(recipe := values.get("train"), dict) and "tensorboard" in recipe:
        recipe["log"] = "tensorboard" if recipe.pop("tensorboard") else "none"  # before `log`
    try:
        # as JSON, in which a table is a dataclass and a list is a tuple to strict settings too
        return pydantic.TypeAdapter(RunConfig).validate_json(json.dumps(values))
    except pydantic.ValidationError as error:
        raise ConfigError(f"{path}: {_first_fault(error)}; restore the file") from error


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a run that can be deleted without loss.

    Raises:
        ConfigError: it is damaged.
    """
    try:
        values = from_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is damaged ({error}); delete it") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} is damaged (it holds no JSON object); delete it")
    return values


def _from_schema_1(path: Path, values: dict[str, Any]) -> dict[str, Any]:
    """The same content in today's fields: the detector was known by its spec alone."""
    if unknown := sorted(values.keys() - _SCHEMA_1):
        raise ConfigError(f"{path}: {short(unknown[0])} is not a field of a run; restore the file")
    spec, versions, features = (
        found if isinstance(found := values.get(name, {}), dict) else {}
        for name in ("detector", "versions", "features")
    )
    detector = {"name": spec.get("name"), "encoder_layer": spec.get("encoder_layer") or None}
    source = {"kind": "stored", "path": features.get("path"), "identity": features.get("sha256")}
    source |= {name: value for name, value in features.items() if name not in ("path", "sha256")}
    return {
        "head": values["head"],
        "spec": values["detector"],
        "detector": detector,
        "categories": values.get("categories", {}),
        "train": values.get("train"),
        "source": {**source, "targets": values.get("targets", {})} if features else {},
        "versions": {"mfd": values.get("mfd", "unknown"), **versions},
    }


def _decisive(content: dict[str, Any]) -> dict[str, Any]:
    """The part of `config.json` that determines the weights."""
    train = content["train"] or {}
    return {
        "head": content["head"],
        "spec": {name: v for name, v in content["spec"].items() if name != "category_names"},
        "train": {name: value for name, value in train.items() if name not in FREE_ON_RESUME},
        "source": _without_paths(content["source"]),
        # it ends a run early at most
        "validation": _without_paths(content["validation"]) if train.get("patience") else {},
    }


def _without_paths(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_paths(value) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if name != "path"
    }


def _first_fault(error: pydantic.ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    name = ".".join(map(str, fault["loc"])) or "config"
    cause, raised = fault["type"], fault.get("ctx", {}).get("error")
    if cause in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{name} is a field that this mfd does not know"
    if cause in ("missing", "missing_argument"):
        return f"{name} is missing"
    if isinstance(raised, MfdError):
        return f"{name}: {raised}"
    return f"{name} is {short(fault['input'])}: {fault['msg']}"
