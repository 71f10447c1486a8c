"""One split of a data set, in memory."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from mfd.coco.annotations import Annotations
from mfd.coco.federated import Federated
from mfd.coco.findings import Finding, by_kind
from mfd.coco.records import ImageEntry
from mfd.errors import DataError
from mfd.files import file_sha256, json_sha256
from mfd.text import printable

ANY_CATEGORY = -1
"""Id of the one category of a data set whose objects are told apart by nothing."""


@dataclass(frozen=True)
class CocoDataset:
    """One split of a data set.

    Attributes:
        annotations_file: where it was read from, for YOLO's its data.yaml; None for images alone.
        images_dir: the folder that `file_name` is relative to.
        images: sorted by image id.
        categories: name of each category id; ids may have gaps.
        annotations: of each image id that has any, and all of them as columns.
        skipped: kind and text of what is wrong with each annotation that was left out.
        renumbered: category ids in the file and here, where they differ; see `match_categories`.
        label_files: YOLO's, which its annotations were read from.
        findings: what its files leave open, such as images without labels.
        federated: what its images were looked for, if it is one like LVIS.
        file_sha256: of `annotations_file`, as it was read; empty if that is not known yet.
    """

    annotations_file: Path | None
    images_dir: Path
    images: tuple[ImageEntry, ...]
    categories: dict[int, str]
    annotations: Annotations
    skipped: tuple[tuple[str, str], ...] = ()
    renumbered: tuple[tuple[int, int], ...] = ()
    label_files: tuple[Path, ...] = ()
    findings: tuple[Finding, ...] = ()
    federated: Federated | None = None
    file_sha256: str = ""

    @cached_property
    def annotations_sha256(self) -> str:
        """Digest of the annotations as they are used: of their files, and how they were renumbered.

        Raises:
            DataError: the images have no annotations.
        """
        if self.annotations_file is None:
            raise DataError("these images have no annotations; give --annotations")
        digest = self.file_sha256 or file_sha256(self.annotations_file)
        if self.label_files:
            digest = json_sha256([digest, *map(file_sha256, self.label_files)])
        return json_sha256([digest, self.renumbered]) if self.renumbered else digest

    @property
    def class_agnostic(self) -> bool:
        """Whether it is one `without_categories`."""
        return ANY_CATEGORY in self.categories

    def without_categories(self) -> "CocoDataset":
        """The same data set with all objects in one category, that of any object.

        Training on it matches queries to objects by their boxes alone; its AP is class-agnostic.
        """
        return replace(
            self,
            categories={ANY_CATEGORY: "object"},
            annotations=self.annotations.renumbered(dict.fromkeys(self.categories, ANY_CATEGORY)),
            renumbered=tuple((key, ANY_CATEGORY) for key in sorted(self.categories)),
        )

    def path(self, entry: ImageEntry) -> Path:
        """The image's file."""
        return self.images_dir / entry.file_name

    def skipped_by_kind(self) -> list[Finding]:
        """What is wrong with the annotations that were left out, the most frequent kind first."""
        return by_kind(self.skipped, len(self.skipped) + len(self.annotations.ids))

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
    """At most `count` of the images, the first among them, spread over all."""
    count = min(count, len(images))
    return [images[number * len(images) // count] for number in range(count)]
