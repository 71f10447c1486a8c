"""Before anything is computed: which store an extraction makes, how large, in what time."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mfd.cache import UNIT, StoreIdentity, StoreImage, planned_bytes
from mfd.coco import CocoDataset, ImageEntry, sample_evenly
from mfd.config import Autocast, Profile, StoredDtype
from mfd.detectors import DetectorSpec, detect_all
from mfd.errors import DataError
from mfd.extract.batches import decode_ahead
from mfd.extract.digests import ABSENT
from mfd.images import LoadedImage, input_size, load_image


def store_identity(
    spec: DetectorSpec,
    dataset: CocoDataset,
    digests: Sequence[str],
    *,
    split: str,
    view: str = "base",
    profile: Profile = "full",
    dtype: StoredDtype = "float16",
    autocast: Autocast = "none",
) -> StoreIdentity:
    """The identity of the store that this detector and data set make.

    Args:
        digests: sha256 of each image of the data set, from `image_digests`.
    """
    images = tuple(
        StoreImage(image.image_id, image.file_name, image.size_hw, sha256)
        for image, sha256 in zip(dataset.images, digests, strict=True)
    )
    return StoreIdentity(spec, split, images, view, profile, dtype, autocast)


@dataclass(frozen=True)
class Estimate:
    """What an extraction will need.

    Args:
        images: how many.
        num_bytes: on the disk, without a codec.
        images_per_second: of the detector on this machine; None if it was not measured.
    """

    images: int
    num_bytes: int
    images_per_second: float | None = None

    @property
    def bytes_per_image(self) -> float:
        """What one image takes, and what each visit of it in training reads."""
        return self.num_bytes / self.images

    @property
    def hours(self) -> float | None:
        """Of the detector's work; None if its rate was not measured."""
        rate = self.images_per_second
        return None if rate is None else self.images / rate / 3600


def estimate(
    dataset: CocoDataset,
    spec: DetectorSpec,
    profile: Profile = "full",
    dtype: StoredDtype = "float16",
    images_per_second: float | None = None,
) -> Estimate:
    """Bytes and hours, from the sizes in the annotation file alone; no image is opened.

    Args:
        images_per_second: from `measure_rate`.
    """
    identity = store_identity(
        spec, dataset, [ABSENT] * len(dataset.images), split="", profile=profile, dtype=dtype
    )
    sizes = [input_size(image.size_hw, spec.preprocessing) for image in dataset.images]
    return Estimate(len(dataset.images), planned_bytes(identity, sizes), images_per_second)


def measure_rate(
    detector: Any,
    dataset: CocoDataset,
    *,
    batch_size: int = 4,
    workers: int = 4,
    autocast: Autocast = "none",
    sample: int = 32,
) -> float:
    """Images per second from file to features, without writing them.

    The images lie evenly over the data set; a first batch of them, for warming up, is not timed.

    Raises:
        DataError: an image of the sample cannot be used.
    """
    entries = sample_evenly(dataset.images, sample)

    def load(entry: ImageEntry) -> LoadedImage:
        return load_image(dataset.path(entry), detector.spec.preprocessing, entry.size_hw)

    def run(chosen: Sequence[ImageEntry]) -> None:
        groups = [chosen[i : i + UNIT] for i in range(0, len(chosen), UNIT)]
        for group, loaded in zip(groups, decode_ahead(groups, load, workers), strict=True):
            images = []
            for image in loaded:
                if isinstance(image, DataError):
                    raise image
                images.append(image)
            ids = [entry.image_id for entry in group]
            detect_all(detector, images, ids, batch_size, autocast=autocast)

    run(entries[:batch_size])
    started = time.perf_counter()
    run(entries)
    return len(entries) / (time.perf_counter() - started)
