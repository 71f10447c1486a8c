"""What commands say of a data set before they work on it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mfd import coco
from mfd.coco import CocoDataset, Finding
from mfd.console import say

if TYPE_CHECKING:
    from mfd.cache import StoreImage


def say_notable(findings: Iterable[Finding]) -> None:
    """A line for each kind of fault that is more than the noise of a sound data set."""
    for finding in findings:
        if finding.notable:
            say(f"note: {finding}")


def say_repeated_files(dataset: CocoDataset, images: "Iterable[StoreImage]") -> None:
    """What is notable about images that are one file, by the digests that a store has of them."""
    digests = {image.image_id: image.sha256 for image in images}
    say_notable(coco.repeated_files(dataset, digests))
