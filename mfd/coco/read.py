"""Reading COCO instances files, and YOLO's folders, into images, categories and annotations.

What COCO files themselves contain, such as boxes of no width, polygons of two points or gaps in
category ids, is accepted; what is unsafe or makes no sense is refused, all of it at once.
"""

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mfd.coco.annotations import Annotations
from mfd.coco.dataset import CocoDataset
from mfd.coco.federated import FederatedNotes
from mfd.coco.findings import Finding, RecordError, by_kind, summary
from mfd.coco.records import (
    Annotation,
    ImageEntry,
    integer,
    parse_annotation,
    parse_category,
    parse_image,
)
from mfd.coco.remembered import Source, recall, remember
from mfd.coco.stream import JsonText
from mfd.coco.yolo.description import SUFFIXES
from mfd.coco.yolo.read import read_yolo
from mfd.errors import DataError

_CURE = (
    "give a COCO folder by --data or as `data` in mfd.toml, or your own by --images and "
    "--annotations"
)

Value = TypeVar("Value")
Fault = tuple[str, str]  # its kind, and its text


def read_dataset(
    annotations_file: Path,
    images_dir: Path,
    *,
    skip_invalid: bool = False,
    remembered_in: Path | None = None,
) -> CocoDataset:
    """The data set of a COCO annotation file, checked; no image file is opened.

    YOLO's `data.yaml` is read with the label files that belong to the images in the folder; then
    the header of every image is read, for labels there are in parts of its size.

    A file without `annotations`, as COCO publishes for its test images, describes images alone.
    Annotation ids need be unique within an image only.

    Args:
        annotations_file: COCO's JSON, or YOLO's data.yaml.
        skip_invalid: go on without annotations that cannot be used; `skipped` names them.
        remembered_in: a folder; what a large COCO file holds is kept there, so that it is parsed
            only once.

    Raises:
        DataError: names the file and, by kind, all images, categories and annotations that cannot
            be used.
    """
    if annotations_file.exists() and not images_dir.is_dir():
        raise DataError(f"there is no image folder {images_dir}; {_CURE}")
    if annotations_file.suffix in SUFFIXES:
        dataset = _parsed_yolo(annotations_file, images_dir)
    else:
        dataset = _read_coco(annotations_file, images_dir, remembered_in)
    if faults := dataset.skipped_by_kind():
        count, total = len(dataset.skipped), faults[0].total
        if not skip_invalid:
            raise DataError(
                f"{annotations_file}: {count} of {total} annotations cannot be used: "
                f"{summary(faults)}; correct them, or leave them out with --skip-invalid"
            )
        if not dataset.annotations:
            raise DataError(
                f"{annotations_file}: none of its {count} annotations can be used: "
                f"{summary(faults)}"
            )
    return dataset


def _read_coco(file: Path, images_dir: Path, remembered_in: Path | None) -> CocoDataset:
    """The parsed file, from memory if it was parsed before."""
    source = Source(file, images_dir)
    if remembered_in is not None and (dataset := recall(remembered_in, source)) is not None:
        return dataset
    encoded = _read_bytes(file)
    text, sha256 = JsonText(file, encoded), hashlib.sha256(encoded).hexdigest()
    del encoded
    if text.next_sign() != "{":
        raise DataError(f"{file} holds a {type(text.value()).__name__}, expected COCO's object")
    dataset = replace(_parsed(file, images_dir, text.members()), file_sha256=sha256)
    if remembered_in is not None:
        remember(remembered_in, source, dataset)
    return dataset


def _parsed_yolo(file: Path, images_dir: Path) -> CocoDataset:
    yolo = read_yolo(file, images_dir)
    dataset = _parsed(file, images_dir, yolo.content.items())
    return replace(
        dataset,
        skipped=(*yolo.faults, *dataset.skipped),
        label_files=tuple(yolo.label_files),
        findings=tuple(yolo.findings),
    )


def _parsed(file: Path, images_dir: Path, members: Iterable[tuple[str, Any]]) -> CocoDataset:
    """What a file holds, without the annotations that cannot be used.

    Args:
        members: of COCO's object. A list may be an iterator, to be used up before the next member.
    """
    folder = Path(os.path.abspath(images_dir))
    images: dict[int, ImageEntry] | None = None
    categories: dict[int, str] | None = None
    annotations, waiting = Annotations.of(), list[Mapping[str, Any]]()
    bad: dict[str, list[Finding]] = {}
    faults: list[Fault] = []
    federated = FederatedNotes()
    for key, value in members:
        if key == "images":
            records = _objects(file, key, value)
            images, bad[key] = _by_id(
                "image", records, lambda r: parse_image(r, folder), federated.image
            )
        elif key == "categories":
            records = _objects(file, key, value)
            categories, bad[key] = _by_id("category", records, parse_category, federated.category)
        elif key == "annotations" and images is not None:
            annotations = Annotations.of(_usable(_objects(file, key, value), images, faults))
        elif key == "annotations":
            waiting = list(_objects(file, key, value))
    if images is None or categories is None:
        raise _no_list(file, "images" if images is None else "categories")
    if unusable := bad["images"] + bad["categories"]:  # what refers to them would only repeat it
        raise DataError(f"{file}: {summary(unusable)}")
    if waiting:
        annotations = Annotations.of(_usable(waiting, images, faults))
    return CocoDataset(
        annotations_file=file,
        images_dir=images_dir,
        images=tuple(images[image_id] for image_id in sorted(images)),
        categories=categories,
        annotations=_of_categories(annotations, categories, faults),
        skipped=tuple(faults),
        federated=federated.result(),
    )


def _objects(file: Path, key: str, value: Any) -> Iterator[Mapping[str, Any]]:
    """The objects of a list."""
    if not isinstance(value, list | Iterator):
        raise _no_list(file, key)
    for each in value:
        if not isinstance(each, dict):
            raise _no_list(file, key)
        yield each


def _no_list(file: Path, key: str) -> DataError:
    return DataError(f"{file}: has no list of objects {key!r}; expected a COCO instances file")


def _usable(
    records: Iterable[Mapping[str, Any]], images: Mapping[int, ImageEntry], faults: list[Fault]
) -> Iterator[Annotation]:
    """The annotations; what is wrong with the others is added to `faults`."""
    seen: set[tuple[int, int]] = set()
    for place, record in enumerate(records):
        owner = f"the annotation at place {place}"
        try:
            annotation_id = integer(record, "id", "it")
            owner = f"annotation {annotation_id}"
            annotation = parse_annotation(record, annotation_id, images)
            if (key := (annotation.image_id, annotation_id)) in seen:
                raise RecordError("id twice in an image", f"it occurs twice in image {key[0]}")
        except RecordError as error:
            faults.append((error.kind, f"{owner}: {error}"))
            continue
        seen.add(key)
        yield annotation


def _of_categories(
    annotations: Annotations, categories: Collection[int], faults: list[Fault]
) -> Annotations:
    """Those of the categories, which may stand at the end of the file; as `_usable` otherwise."""
    known = np.isin(annotations.category_ids, np.fromiter(categories, np.int64, len(categories)))
    for row in np.flatnonzero(~known).tolist():
        what = f"its category {annotations.category_ids[row]} is not among the categories"
        faults.append(("unknown category", f"annotation {annotations.ids[row]}: {what}"))
    return annotations if known.all() else annotations.take(np.flatnonzero(known))


def _read_bytes(path: Path) -> bytes:
    if path.exists() and not path.is_file():  # reading a pipe would wait
        raise DataError(f"{path} is not a regular file, expected COCO's JSON; {_CURE}")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"there is no annotation file {path}; {_CURE}") from error
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror}); {_CURE}") from error


def _by_id(
    name: str,
    records: Iterable[Mapping[str, Any]],
    parse: Callable[[Mapping[str, Any]], tuple[int, Value]],
    note: Callable[[int, Mapping[str, Any]], None],
) -> tuple[dict[int, Value], list[Finding]]:
    """The parsed records by id, of each a further note, and what is wrong with the others."""
    found: dict[int, Value] = {}
    faults: list[Fault] = []
    total = 0
    for record in records:
        total += 1
        try:
            key, value = parse(record)
            if key in found:
                raise RecordError(
                    f"{name} id twice", f"{name} {key} occurs twice; ids must be unique"
                )
            note(key, record)
        except RecordError as error:
            faults.append((error.kind, str(error)))
            continue
        found[key] = value
    return found, by_kind(faults, total)
