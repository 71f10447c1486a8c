"""Which files are photographs, what their ids are, and which names results may take."""

import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mfd.coco import CocoDataset
from mfd.errors import ConfigError, DataError
from mfd.files import write_atomically
from mfd.images import image_suffixes

PICTURE_SUFFIX = ".masks.png"
"""Appended to the image's full name, so that a.jpg and a.png do not share an output file."""

SOFTWARE = "mfd predict"
"""Written into every picture, by which it is recognised."""

_PNG = b"\x89PNG\r\n\x1a\n"
_KEYS = {"image_id", "file_name", "category_id", "category", "score", "bbox", "segmentation"}


def image_files(paths: Sequence[Path], *, recursive: bool = False) -> list[Path]:
    """The files among the paths and the image files in the folders among them, sorted by name.

    Files that are named are taken whatever they are; in folders those with the ending of an image
    format are, but for pictures that mfd drew. Pipes and broken links are among them, so that
    whoever opens the files names them.

    Args:
        recursive: folders inside of folders are searched too.

    Raises:
        DataError: a path is not there, or a folder holds no image file.
    """
    endings = image_suffixes()
    files: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = sorted(
                file
                for file in (path.rglob("*") if recursive else path.iterdir())
                if file.suffix.lower() in endings and not file.is_dir() and not is_picture(file)
            )
            if not inside:
                raise DataError(
                    f"{path} holds no image file; give images or folders of images"
                    + ("" if recursive else ", or search folders inside of it by --recursive")
                )
            files |= dict.fromkeys(inside)
        elif path.exists():
            files[path] = None
        else:
            raise DataError(f"there is no image {path}; give images or folders of images")
    return list(files)


def file_ids(files: Sequence[Path], dataset: CocoDataset | None = None) -> list[int]:
    """The image id of every file.

    Args:
        dataset: whose ids are taken; without one, ids are the numbers that all files are named by,
            as COCO's 000000000139.jpg, or else 0, 1, 2, ...

    Raises:
        DataError: a file is not an image of the data set.
    """
    if dataset is not None:
        known = {dataset.path(entry).resolve(): entry.image_id for entry in dataset.images}
        if strange := [file for file in files if file.resolve() not in known]:
            raise DataError(
                f"{strange[0]} is not among the images of {dataset.annotations_file}; give the "
                "annotations of these images, or none"
            )
        return [known[file.resolve()] for file in files]
    stems = [file.stem for file in files]
    if all(stem.isascii() and stem.isdigit() and len(stem) < 19 for stem in stems):
        ids = [int(stem) for stem in stems]
        if len(set(ids)) == len(ids):
            return ids
    return list(range(len(files)))


def picture_paths(files: Sequence[Path], folder: Path) -> list[Path]:
    """Where each file's picture goes; files of one name from several folders are numbered."""
    return [folder / f"{name}{PICTURE_SUFFIX}" for name in distinct([file.name for file in files])]


def distinct(names: Sequence[str]) -> list[str]:
    """The names in their order, those that were there before numbered: `cat`, `cat-2`."""
    taken: dict[str, None] = {}
    for name in names:
        free, number = name, 1
        while free in taken:
            number += 1
            free = f"{name}-{number}"
        taken[free] = None
    return list(taken)


def refuse_foreign(targets: Iterable[Path], inputs: Sequence[Path]) -> None:
    """Nothing, if each target is free, or an earlier picture or results file of mfd.

    Raises:
        ConfigError: a target is one of the inputs, or a file that mfd did not make.
    """
    taken = {path.resolve() for path in inputs}
    for path in targets:
        if path.resolve() in taken:
            raise ConfigError(
                f"{path} is one of the images and would be overwritten; name another folder"
            )
        absent = not path.exists() and not path.is_symlink()
        if not absent and (path.is_symlink() or not (is_picture(path) or _is_results(path))):
            raise ConfigError(
                f"{path} exists and was not made by `mfd predict`; move it, or name another folder"
            )


def write_picture(path: Path, picture: Image.Image) -> None:
    """Write a PNG file that `is_picture` recognises."""
    info = PngInfo()
    info.add_text("Software", SOFTWARE)
    content = io.BytesIO()
    picture.save(content, "PNG", pnginfo=info)
    write_atomically(path, content.getvalue())


def is_picture(path: Path) -> bool:
    """Whether mfd drew this file, which is then no photograph."""
    try:
        if not path.is_file():  # opening a pipe would wait
            return False
        with path.open("rb") as file:
            head = file.read(256)
    except OSError:
        return False
    return head.startswith(_PNG) and f"tEXtSoftware\0{SOFTWARE}".encode() in head


def _is_results(path: Path) -> bool:
    """Whether a JSON file is an earlier list of predictions."""
    try:
        entries = json.loads(path.read_bytes()) if path.is_file() else None
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(entries, list) and all(
        isinstance(entry, dict) and entry.keys() >= _KEYS for entry in entries
    )
