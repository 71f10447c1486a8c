"""Reading a COCO instances file into images, categories and annotations.

What COCO files themselves contain, such as boxes of no width, polygons of two points or gaps in
category ids, is accepted or set aside by name; what is unsafe or makes no sense is refused.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mfd.coco.records import (
    Annotation,
    ImageEntry,
    integer,
    nothing_to_learn,
    parse_annotation,
    parse_category,
    parse_image,
)
from mfd.errors import DataError

_CURE = (
    "give a COCO folder by --data or as `data` in mfd.toml, or your own by --images and "
    "--annotations"
)


@dataclass(frozen=True)
class CocoDataset:
    """One split of a data set.

    Attributes:
        annotations_file: where it was read from; None for images alone.
        images_dir: the folder that `file_name` is relative to.
        images: sorted by image id.
        categories: name of each category id; ids may have gaps.
        annotations: of each image id that has any.
        skipped: one line for each annotation set aside because nothing can be learnt from it.
    """

    annotations_file: Path | None
    images_dir: Path
    images: tuple[ImageEntry, ...]
    categories: dict[int, str]
    annotations: dict[int, tuple[Annotation, ...]]
    skipped: tuple[str, ...] = ()

    def path(self, entry: ImageEntry) -> Path:
        """The image's file."""
        return self.images_dir / entry.file_name

    def missing(self) -> tuple[ImageEntry, ...]:
        """The images whose file is not there.

        Raises:
            DataError: that is all of them, or there are none.
        """
        source = self.annotations_file or "the data set"
        if not self.images:
            raise DataError(f"{source} lists no image, expected at least one")
        missing = tuple(entry for entry in self.images if not self.path(entry).is_file())
        if len(missing) == len(self.images):
            raise DataError(
                f"{self.images_dir} holds none of the {len(missing)} images of {source}, the first "
                f"is {missing[0].file_name}; give the folder they are in by --images"
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
    annotations_file: Path, images_dir: Path, *, need_masks: bool = True
) -> CocoDataset:
    """The data set of a COCO annotation file, checked; no image file is opened.

    A file without `annotations`, as COCO publishes for its test images, describes images alone.

    Args:
        need_masks: also check segmentations, and set annotations without one aside.

    Raises:
        DataError: names the file and the image, category or annotation it cannot use.
    """
    content = _load_json(annotations_file)
    if not images_dir.is_dir():
        raise DataError(f"there is no image folder {images_dir}; {_CURE}")
    real_dir = images_dir.resolve()
    try:
        images = _by_id("image", (parse_image(i, real_dir) for i in _records(content, "images")))
        categories = _by_id("category", map(parse_category, _records(content, "categories")))
        records = _records(content, "annotations") if "annotations" in content else ()
        annotations, skipped = _read_annotations(records, images, categories, need_masks)
    except DataError as error:
        raise DataError(f"{annotations_file}: {error}") from error
    return CocoDataset(
        annotations_file=annotations_file,
        images_dir=images_dir,
        images=tuple(images[image_id] for image_id in sorted(images)),
        categories=categories,
        annotations={image_id: tuple(found) for image_id, found in annotations.items()},
        skipped=tuple(skipped),
    )


def _read_annotations(
    records: Iterable[Mapping[str, Any]],
    images: Mapping[int, ImageEntry],
    categories: Mapping[int, str],
    need_masks: bool,
) -> tuple[dict[int, list[Annotation]], list[str]]:
    """Annotations by image id, and a line for each one set aside."""
    annotations: dict[int, list[Annotation]] = {}
    skipped: list[str] = []
    seen: set[int] = set()
    for record in records:
        annotation_id = integer(record, "id", "an annotation")
        if annotation_id in seen:
            raise DataError(f"annotation {annotation_id} occurs twice; ids must be unique")
        seen.add(annotation_id)
        try:
            annotation = parse_annotation(record, images, categories, need_masks)
            fault = nothing_to_learn(annotation, images[annotation.image_id], need_masks)
        except DataError as error:
            raise DataError(f"annotation {annotation_id}: {error}") from error
        if fault:
            skipped.append(f"annotation {annotation_id} of image {annotation.image_id}: {fault}")
        else:
            annotations.setdefault(annotation.image_id, []).append(annotation)
    if skipped and not annotations:
        raise DataError(
            f"none of its {len(skipped)} annotations can be used, the first: {skipped[0]}"
        )
    return annotations, skipped


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


def _records(content: Mapping[str, Any], key: str) -> Iterable[Mapping[str, Any]]:
    records = content.get(key)
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
        raise DataError(f"has no list of objects {key!r}; expected a COCO instances file")
    return records


def _by_id(kind: str, pairs: Iterable[tuple[int, Any]]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for key, value in pairs:
        if key in found:
            raise DataError(f"{kind} {key} occurs twice; ids must be unique")
        found[key] = value
    return found
