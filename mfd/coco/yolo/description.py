"""`data.yaml`: where the images of each split are, and the names of the classes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mfd.errors import DataError
from mfd.placeholders import refuse_placeholder
from mfd.text import first_line, short

SUFFIXES = (".yaml", ".yml")
_NOT_SPLITS = ("path", "names", "nc")


def read_description(file: Path) -> Mapping[str, Any]:
    """The content of a `data.yaml`.

    Raises:
        DataError: there is none, or it is not one.
    """
    try:
        content = yaml.safe_load(file.read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {file} ({error.strerror}); give the data set's") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{file} is not a YAML file: {first_line(error)}") from error
    if not isinstance(content, dict) or not ("names" in content or "nc" in content):
        refuse_placeholder(file, "YOLO's description of a data set", DataError)
        raise DataError(f"{file} has no 'names', expected YOLO's description of a data set")
    return content


def class_names(file: Path, content: Mapping[str, Any]) -> dict[int, str]:
    """Name of each class number; the number stands for a missing name.

    Raises:
        DataError: `names` is neither a list nor numbered, or there are not as many as `nc` says.
    """
    names, count = content.get("names"), content.get("nc")
    if names is None and type(count) is int:
        names = range(count)
    if isinstance(names, list | range):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(type(key) is int and key >= 0 for key in names):
        raise DataError(
            f"{file} has names {short(names)}, expected a list of names, or numbers with names"
        )
    if type(count) is int and count != len(names):
        raise DataError(f"{file} has {len(names)} names and nc: {count}; correct one of them")
    return {number: str(name) for number, name in names.items()}


def split_names(content: Mapping[str, Any]) -> list[str]:
    """The splits that have images, such as train, val and test."""
    return [
        key
        for key, value in content.items()
        if isinstance(key, str) and key not in _NOT_SPLITS and isinstance(value, str | list)
    ]


def images_folder(file: Path, content: Mapping[str, Any], split: str) -> Path:
    """The image folder of a split.

    It counts from `path`, which counts from the file; Roboflow writes `../train/images` for
    `train/images` beside the file.

    Raises:
        DataError: there is no such split or folder, or it is a list of files.
    """
    value = content.get(split)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None:
        known = ", ".join(split_names(content)) or "none"
        raise DataError(f"{file} has no split {split!r}; it has {known}")
    if not isinstance(value, str) or value.endswith(".txt"):
        raise DataError(
            f"{file} has {split}: {short(value)}, expected one folder of images; mfd reads no lists"
        )
    root = content.get("path")
    here = file.parent
    inside = value.removeprefix("../")
    places = [here / str(root) / value] if root else []
    places += [here / value, here / inside]
    for place in places:
        if place.is_dir():
            return place
    raise DataError(f"{file} has {split}: {short(value)}, but there is no folder {places[0]}")
