"""Which images' masks are trained on, where not all are annotated or a share is to be compared."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mfd.coco import CocoDataset
from mfd.errors import DataError
from mfd.files import json_sha256
from mfd.text import first_line


@dataclass(frozen=True)
class MaskImages:
    """The images whose masks are trained on.

    Attributes:
        image_ids: of these images.
        fraction: of all images with objects that they are; None where they were listed.
    """

    image_ids: frozenset[int]
    fraction: float | None = None

    @classmethod
    def drawn(cls, dataset: CocoDataset, fraction: float, seed: int) -> "MaskImages":
        """A share of the images with objects, at least one; a larger share holds a smaller one.

        An image's place in the order depends on the seed and its id alone, so the same images are
        drawn whatever others there are.

        Args:
            fraction: above 0, at most 1.

        Raises:
            DataError: no image has objects.
        """
        found = dataset.annotations
        with_objects = set(found.image_ids[~found.is_crowd].tolist())
        if not with_objects:
            raise DataError(f"{dataset.annotations_file} has no objects, so no masks to draw from")
        order = sorted(with_objects, key=lambda image_id: (_place(seed, image_id), image_id))
        count = max(1, round(fraction * len(order)))
        return cls(frozenset(order[:count]), fraction)

    @classmethod
    def listed(cls, dataset: CocoDataset, file: Path) -> "MaskImages":
        """The images that a text file names, one on a line, by COCO id or file name.

        Raises:
            DataError: the file cannot be read, names nothing, or names an image that the
                annotations do not list.
        """
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{file} cannot be read as text ({first_line(error)})") from error
        known = {entry.file_name: entry.image_id for entry in dataset.images}
        known |= {str(entry.image_id): entry.image_id for entry in dataset.images}
        names = [line.strip() for line in lines if line.strip()]
        if strange := [name for name in names if name not in known]:
            raise DataError(
                f"{file} names {len(strange)} of {len(names)} images that "
                f"{dataset.annotations_file} does not list, the first is {strange[0]!r}; give ids "
                "or file names of these annotations, one on a line"
            )
        if not names:
            raise DataError(f"{file} names no image, expected one on each line")
        return cls(frozenset(known[name] for name in names))

    def only(self, dataset: CocoDataset) -> CocoDataset:
        """The data set without the other images."""
        images = tuple(e for e in dataset.images if e.image_id in self.image_ids)
        annotations = dataset.annotations.of_images(self.image_ids)
        return replace(dataset, images=images, annotations=annotations)

    def describe(self) -> dict[str, Any]:
        """Which they are, as plain JSON values."""
        ids = sorted(self.image_ids)
        return {"fraction": self.fraction, "count": len(ids), "sha256": json_sha256(ids)}


def _place(seed: int, image_id: int) -> int:
    return int(np.random.SeedSequence((seed, image_id % 2**64)).generate_state(1, np.uint64)[0])
