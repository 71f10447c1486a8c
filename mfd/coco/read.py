"""Reading COCO instances files, and YOLO's folders, into images, categories and annotations.

What COCO files themselves contain, such as boxes of no width, polygons of two points or gaps in
category ids, is accepted; what is unsafe or makes no sense is refused, all of it at once.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mfd.coco.dataset import CocoDataset
from mfd.coco.findings import Finding, RecordError, by_kind, summary
from mfd.coco.records import (
    Annotation,
    ImageEntry,
    integer,
    parse_annotation,
    parse_category,
    parse_image,
)
from mfd.coco.yolo.description import SUFFIXES
from mfd.coco.yolo.read import YoloContent, read_yolo
from mfd.errors import DataError
from mfd.placeholders import refuse_placeholder

_CURE = (
    "give a COCO folder by --data or as `data` in mfd.toml, or your own by --images and "
    "--annotations"
)

Value = TypeVar("Value")


def read_dataset(
    annotations_file: Path,
    images_dir: Path,
    *,
    need_masks: bool = True,
    skip_invalid: bool = False,
) -> CocoDataset:
    """The data set of a COCO annotation file, checked; no image file is opened.

    YOLO's `data.yaml` is read with the label files that belong to the images in the folder; then
    the header of every image is read, for labels there are in parts of its size.

    A file without `annotations`, as COCO publishes for its test images, describes images alone.
    Annotation ids need be unique within an image only.

    Args:
        annotations_file: COCO's JSON, or YOLO's data.yaml.
        need_masks: also read segmentations; without, no annotation has a mask.
        skip_invalid: go on without annotations that cannot be used; `skipped` names them.

    Raises:
        DataError: names the file and, by kind, all images, categories and annotations that cannot
            be used.
    """
    is_yolo = annotations_file.suffix in SUFFIXES
    content = {} if is_yolo else dict(_load_json(annotations_file))
    if not images_dir.is_dir():
        raise DataError(f"there is no image folder {images_dir}; {_CURE}")
    yolo = read_yolo(annotations_file, images_dir) if is_yolo else YoloContent(content)
    folder = Path(os.path.abspath(images_dir))
    try:
        image_records = _records(yolo.content, "images")
        images, bad_images = _by_id("image", image_records, lambda r: parse_image(r, folder))
        category_records = _records(yolo.content, "categories")
        categories, bad_categories = _by_id("category", category_records, parse_category)
        listed = "annotations" in yolo.content
        records = _records(yolo.content, "annotations") if listed else ()
        if bad_images or bad_categories:  # what refers to them would only repeat it
            raise DataError(summary(bad_images + bad_categories))
        annotations, faults = _read_annotations(records, images, categories, need_masks)
        total, faults = len(records) + len(yolo.faults), yolo.faults + faults
        if faults and not skip_invalid:
            raise DataError(
                f"{len(faults)} of {total} annotations cannot be used: "
                f"{summary(by_kind(faults, total))}; correct them, or leave them out with "
                "--skip-invalid"
            )
        if faults and not annotations:
            raise DataError(
                f"none of its {len(faults)} annotations can be used: "
                f"{summary(by_kind(faults, total))}"
            )
    except DataError as error:
        raise DataError(f"{annotations_file}: {error}") from error
    return CocoDataset(
        annotations_file=annotations_file,
        images_dir=images_dir,
        images=tuple(images[image_id] for image_id in sorted(images)),
        categories=categories,
        annotations={image_id: tuple(found) for image_id, found in annotations.items()},
        skipped=tuple(faults),
        label_files=tuple(yolo.label_files),
        findings=tuple(yolo.findings),
    )


def _read_annotations(
    records: Sequence[Mapping[str, Any]],
    images: Mapping[int, ImageEntry],
    categories: Mapping[int, str],
    need_masks: bool,
) -> tuple[dict[int, list[Annotation]], list[tuple[str, str]]]:
    """Annotations by image id, and kind and text of what is wrong with each of the others."""
    annotations: dict[int, list[Annotation]] = {}
    faults: list[tuple[str, str]] = []
    seen: set[tuple[int, int]] = set()
    for place, record in enumerate(records):
        owner = f"the annotation at place {place}"
        try:
            annotation_id = integer(record, "id", "it")
            owner = f"annotation {annotation_id}"
            annotation = parse_annotation(record, annotation_id, images, categories, need_masks)
            if (key := (annotation.image_id, annotation_id)) in seen:
                raise RecordError("id twice in an image", f"it occurs twice in image {key[0]}")
        except RecordError as error:
            faults.append((error.kind, f"{owner}: {error}"))
            continue
        seen.add(key)
        annotations.setdefault(annotation.image_id, []).append(annotation)
    return annotations, faults


def _load_json(path: Path) -> Mapping[str, Any]:
    if path.exists() and not path.is_file():  # reading a pipe would wait
        raise DataError(f"{path} is not a regular file, expected COCO's JSON; {_CURE}")
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"there is no annotation file {path}; {_CURE}") from error
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror}); {_CURE}") from error
    except (ValueError, RecursionError) as error:
        refuse_placeholder(path, "COCO's JSON", DataError)
        raise DataError(f"{path} is not a JSON file: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds a {type(content).__name__}, expected COCO's object")
    return content


def _records(content: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    records = content.get(key)
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
        raise DataError(f"has no list of objects {key!r}; expected a COCO instances file")
    return records


def _by_id(
    name: str,
    records: Sequence[Mapping[str, Any]],
    parse: Callable[[Mapping[str, Any]], tuple[int, Value]],
) -> tuple[dict[int, Value], list[Finding]]:
    """The parsed records by id, and what is wrong with the others."""
    found: dict[int, Value] = {}
    faults: list[tuple[str, str]] = []
    for record in records:
        try:
            key, value = parse(record)
            if key in found:
                raise RecordError(
                    f"{name} id twice", f"{name} {key} occurs twice; ids must be unique"
                )
        except RecordError as error:
            faults.append((error.kind, str(error)))
            continue
        found[key] = value
    return found, by_kind(faults, len(records))
