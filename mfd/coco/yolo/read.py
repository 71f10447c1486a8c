"""A YOLO split as the content of a COCO file."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mfd.coco.findings import Finding, RecordError
from mfd.coco.yolo.description import class_names, read_description
from mfd.coco.yolo.labels import parse_line
from mfd.errors import DataError
from mfd.images import image_suffixes, read_header
from mfd.text import MAX_NAMED

_NO_LABELS = "images without a label file"
_UNREAD = "labels of an image that cannot be read"


@dataclass
class YoloContent:
    """What the files say.

    Attributes:
        content: images, categories and annotations as a COCO file has them.
        faults: kind and text of what is wrong with each label that is not among the annotations.
        label_files: that were read.
        findings: what is remarkable and no fault.
    """

    content: dict[str, Any]
    faults: list[tuple[str, str]] = field(default_factory=list)
    label_files: list[Path] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def read_yolo(description: Path, images_dir: Path) -> YoloContent:
    """The images of a folder and of the folders in it, and their labels.

    Images are numbered from 1 in the order of their names. Labels belong to upright pixels, so
    that is the size that images are given. The labels of `images/a.jpg` are in `labels/a.txt`,
    the last folder called `images` in the path exchanged, or beside the image if there is none.

    Args:
        description: the `data.yaml`, which names the classes.

    Raises:
        DataError: no image, or not a single label file is there.
    """
    names = class_names(description, read_description(description))
    files = sorted(
        file
        for file in images_dir.rglob("*")
        if file.suffix.lower() in image_suffixes() and file.is_file()
    )
    found = YoloContent({"images": [], "categories": [], "annotations": []})
    found.content["categories"] = [{"id": key, "name": name} for key, name in names.items()]
    without = []
    for image_id, file in enumerate(files, start=1):
        try:
            header = read_header(file)
        except DataError as error:
            found.faults.append((_UNREAD, str(error)))
            continue
        turned = header.orientation >= 5
        size_hw = header.size_hw[::-1] if turned else header.size_hw
        name = file.relative_to(images_dir).as_posix()
        height, width = size_hw
        found.content["images"].append(
            {"id": image_id, "file_name": name, "height": height, "width": width}
        )
        labels = label_file(file)
        if labels.is_file():
            _read_labels(labels, image_id, size_hw, found)
        else:
            without.append(name)
    if not files:
        raise DataError(f"{description}: {images_dir} holds no image; give the image folder")
    if len(without) == len(found.content["images"]):
        raise DataError(
            f"{description}: none of the {len(files)} images in {images_dir} has a label file, "
            f"expected {label_file(files[0])} and the like"
        )
    if without:
        found.findings = [Finding(_NO_LABELS, len(without), len(files), tuple(without[:MAX_NAMED]))]
    return found


def label_file(image: Path) -> Path:
    """Where the labels of an image are."""
    whole = os.path.abspath(image)
    before, folder, after = whole.rpartition(f"{os.sep}images{os.sep}")
    labelled = f"{before}{os.sep}labels{os.sep}{after}" if folder else whole
    return Path(labelled).with_suffix(".txt")


def _read_labels(file: Path, image_id: int, size_hw: tuple[int, int], found: YoloContent) -> None:
    found.label_files.append(file)
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        found.faults.append(("label file that cannot be read", f"{file}: {error}"))
        return
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = parse_line(line, size_hw)
        except RecordError as error:
            found.faults.append((error.kind, f"{file.name} line {number}: {error}"))
            continue
        annotation_id = len(found.content["annotations"]) + 1
        found.content["annotations"].append({"id": annotation_id, "image_id": image_id, **record})
