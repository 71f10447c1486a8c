"""How a folder keeps its splits: COCO's layout, YOLO's, or Roboflow's export in COCO's format."""

from pathlib import Path

from mfd.coco.yolo.description import SUFFIXES, images_folder, read_description, split_names
from mfd.errors import DataError

_ROBOFLOW = "_annotations.coco.json"
_ALIASES = {"val": "valid", "valid": "val"}
_CURE = "name other data under [data] in mfd.toml, or by --images and --annotations"


def split_paths(data: Path, split: str) -> tuple[Path, Path]:
    """Annotation file and image folder of a split; whether they are there is not looked at.

    Args:
        data: a folder with annotations/, train2017/ and val2017/ as COCO's; a folder with YOLO's
            data.yaml, or that file; or a folder with a folder per split that has
            _annotations.coco.json beside its images, as Roboflow exports it.
        split: "train" or "val" in COCO's layout, else one that is there; "val" may be "valid".

    Raises:
        DataError: there is no such split.
    """
    known = split_names_of(data)
    if split not in known:
        if (other := _ALIASES.get(split)) not in known:
            listed = ", ".join(map(repr, known))
            raise DataError(f"there is no split {split!r} in {data}, expected {listed}; {_CURE}")
        split = other or split
    if description := _description(data):
        return description, images_folder(description, read_description(description), split)
    if (exported := data / split / _ROBOFLOW).is_file():
        return exported, data / split
    if not data.is_dir():
        raise DataError(f"there is no folder {data}; give the data set's by --data, or {_CURE}")
    if not (data / "annotations").is_dir():
        raise DataError(
            f"{data} is laid out neither as COCO (annotations/instances_{split}2017.json) nor as "
            f"YOLO (data.yaml) or Roboflow ({split}/{_ROBOFLOW}); {_CURE}"
        )
    return data / "annotations" / f"instances_{split}2017.json", data / f"{split}2017"


def split_names_of(data: Path) -> list[str]:
    """The splits of a folder; in COCO's layout, "train" and "val"."""
    if description := _description(data):
        return split_names(read_description(description))
    exported = sorted(file.parent.name for file in data.glob(f"*/{_ROBOFLOW}"))
    return exported or ["train", "val"]


def _description(data: Path) -> Path | None:
    """YOLO's description of the data, if there is one."""
    if data.suffix in SUFFIXES and data.is_file():
        return data
    return next((file for s in SUFFIXES if (file := data / f"data{s}").is_file()), None)
