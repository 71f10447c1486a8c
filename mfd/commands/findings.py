"""A data set as commands open it, and what they say of it before they work on it."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mfd import coco, opening
from mfd.coco import CocoDataset, Finding
from mfd.config import Project
from mfd.console import say

if TYPE_CHECKING:
    from mfd.cache import StoreImage


class DataOptions(Protocol):
    """Where a command's data are, and whether faulty annotations are left out."""

    @property
    def split(self) -> str: ...
    @property
    def images(self) -> Path | None: ...
    @property
    def annotations(self) -> Path | None: ...
    @property
    def skip_invalid(self) -> bool: ...


def open_named(project: Project, options: DataOptions) -> CocoDataset:
    """The data set that the options name."""
    where = (options.split, options.images, options.annotations)
    return opening.open_dataset(project, *where, skip_invalid=options.skip_invalid)


def open_consistent(project: Project, options: DataOptions) -> CocoDataset:
    """The same; a line for each of its notable faults.

    Raises:
        DataError: it cannot be read, or its annotations contradict one another.
    """
    dataset = open_named(project, options)
    say_notable(coco.require_consistent(dataset))
    return dataset


def say_notable(findings: Iterable[Finding]) -> None:
    """A line for each kind of fault that is more than the noise of a sound data set."""
    for finding in findings:
        if finding.notable:
            say(f"note: {finding}")


def say_repeated_files(dataset: CocoDataset, images: "Iterable[StoreImage]") -> None:
    """What is notable about images that are one file, by the digests that a store has of them."""
    digests = {image.image_id: image.sha256 for image in images}
    say_notable(coco.repeated_files(dataset, digests))
