"""Reading a COCO instances file into images, categories and annotations.

What COCO files themselves contain, such as boxes of no width, polygons of two points or gaps in
category ids, is accepted; what is unsafe or makes no sense is refused, all of it at once.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from mfd.coco.findings import Finding, RecordError, by_kind, summary
from mfd.coco.records import (
    Annotation,
    ImageEntry,
    integer,
    parse_annotation,
    parse_category,
    parse_image,
)
from mfd.errors import DataError
from mfd.files import file_sha256, json_sha256
from mfd.text import printable

_CURE = (
    "give a COCO folder by --data or as `data` in mfd.toml, or your own by --images and "
    "--annotations"
)

ANY_CATEGORY = -1
"""Id of the one category of a data set whose objects are told apart by nothing."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class CocoDataset:
    """One split of a data set.

    Attributes:
        annotations_file: where it was read from; None for images alone.
        images_dir: the folder that `file_name` is relative to.
        images: sorted by image id.
        categories: name of each category id; ids may have gaps.
        annotations: of each image id that has any.
        skipped: kind and text of what is wrong with each annotation that was left out.
        renumbered: category ids in the file and here, where they differ; see `match_categories`.
    """

    annotations_file: Path | None
    images_dir: Path
    images: tuple[ImageEntry, ...]
    categories: dict[int, str]
    annotations: dict[int, tuple[Annotation, ...]]
    skipped: tuple[tuple[str, str], ...] = ()
    renumbered: tuple[tuple[int, int], ...] = ()

    @cached_property
    def annotations_sha256(self) -> str:
        """Digest of the annotations as they are used: the file's, and how it was renumbered.

        Raises:
            DataError: the images have no annotations.
        """
        if self.annotations_file is None:
            raise DataError("these images have no annotations; give --annotations")
        digest = file_sha256(self.annotations_file)
        return json_sha256([digest, self.renumbered]) if self.renumbered else digest

    @property
    def class_agnostic(self) -> bool:
        """Whether it is one `without_categories`."""
        return ANY_CATEGORY in self.categories

    def without_categories(self) -> "CocoDataset":
        """The same data set with all objects in one category, that of any object.

        Training on it matches queries to objects by their boxes alone; its AP is class-agnostic.
        """
        annotations = {
            image_id: tuple(replace(a, category_id=ANY_CATEGORY) for a in found)
            for image_id, found in self.annotations.items()
        }
        return replace(
            self,
            categories={ANY_CATEGORY: "object"},
            annotations=annotations,
            renumbered=tuple((key, ANY_CATEGORY) for key in sorted(self.categories)),
        )

    def path(self, entry: ImageEntry) -> Path:
        """The image's file."""
        return self.images_dir / entry.file_name

    def skipped_by_kind(self) -> list[Finding]:
        """What is wrong with the annotations that were left out, the most frequent kind first."""
        kept = sum(map(len, self.annotations.values()))
        return by_kind(self.skipped, len(self.skipped) + kept)

    def missing(self) -> tuple[ImageEntry, ...]:
        """The images whose file is not there.

        Raises:
            DataError: that is all of them, or there are none.
        """
        source = self.annotations_file or "the data set"
        if not self.images:
            raise DataError(f"{source} lists no image, expected at least one")
        missing = tuple(entry for entry in self.images if not os.path.isfile(self.path(entry)))
        if len(missing) == len(self.images):
            raise DataError(
                f"{self.images_dir} holds none of the {len(missing)} images of {source}, the first "
                f"is {printable(missing[0].file_name)}; give the folder they are in by --images"
            )
        return missing

    def present(self) -> "CocoDataset":
        """The same data set without the images whose file is not there.

        Raises:
            DataError: as `missing`.
        """
        missing = set(self.missing())
        return replace(self, images=tuple(e for e in self.images if e not in missing))


def sample_evenly(images: Sequence[ImageEntry], count: int) -> Sequence[ImageEntry]:
    """At most `count` of the images, at equal steps from the first on."""
    return images[:: max(1, len(images) // count)][:count]


def split_paths(data_root: Path, split: str) -> tuple[Path, Path]:
    """Annotation file and image folder of COCO 2017's split "train" or "val".

    Raises:
        DataError: another split's name.
    """
    if split not in ("train", "val"):
        raise DataError(
            f"there is no split {split!r}, expected 'train' or 'val'; name other data by "
            "--images and --annotations"
        )
    annotations = data_root / "annotations" / f"instances_{split}2017.json"
    return annotations, data_root / f"{split}2017"


def read_dataset(
    annotations_file: Path,
    images_dir: Path,
    *,
    need_masks: bool = True,
    skip_invalid: bool = False,
) -> CocoDataset:
    """The data set of a COCO annotation file, checked; no image file is opened.

    A file without `annotations`, as COCO publishes for its test images, describes images alone.
    Annotation ids need be unique within an image only.

    Args:
        need_masks: also read segmentations; without, no annotation has a mask.
        skip_invalid: go on without annotations that cannot be used; `skipped` names them.

    Raises:
        DataError: names the file and, by kind, all images, categories and annotations that cannot
            be used.
    """
    content = _load_json(annotations_file)
    if not images_dir.is_dir():
        raise DataError(f"there is no image folder {images_dir}; {_CURE}")
    folder = Path(os.path.abspath(images_dir))
    try:
        image_records = _records(content, "images")
        images, bad_images = _by_id("image", image_records, lambda r: parse_image(r, folder))
        category_records = _records(content, "categories")
        categories, bad_categories = _by_id("category", category_records, parse_category)
        records = _records(content, "annotations") if "annotations" in content else ()
        if bad_images or bad_categories:  # what refers to them would only repeat it
            raise DataError(summary(bad_images + bad_categories))
        annotations, faults = _read_annotations(records, images, categories, need_masks)
        if faults and not skip_invalid:
            raise DataError(
                f"{len(faults)} of {len(records)} annotations cannot be used: "
                f"{summary(by_kind(faults, len(records)))}; correct them, or leave them out with "
                "--skip-invalid"
            )
        if faults and not annotations:
            raise DataError(
                f"none of its {len(faults)} annotations can be used: "
                f"{summary(by_kind(faults, len(records)))}"
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
            annotation = parse_annotation(record, images, categories, need_masks)
            if (key := (annotation.image_id, annotation_id)) in seen:
                raise RecordError("id twice in an image", f"it occurs twice in image {key[0]}")
        except RecordError as error:
            faults.append((error.kind, f"{owner}: {error}"))
            continue
        seen.add(key)
        annotations.setdefault(annotation.image_id, []).append(annotation)
    return annotations, faults


def _load_json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"there is no annotation file {path}; {_CURE}") from error
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror}); {_CURE}") from error
    except (ValueError, RecursionError) as error:
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
