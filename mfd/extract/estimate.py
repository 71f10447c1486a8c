"""Before anything is computed: which store an extraction makes, how large, in what time."""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import product

from mfd.cache import StoreIdentity, StoreImage, planned_bytes
from mfd.coco import CocoDataset, sample_evenly
from mfd.config import Precision, Profile, StoredDtype
from mfd.detectors import Detector, DetectorSpec
from mfd.errors import DataError, DetectorError
from mfd.extract.config import ExtractConfig
from mfd.extract.features import WINDOW, encoded_features
from mfd.images import parse_view


def store_identity(
    spec: DetectorSpec,
    dataset: CocoDataset,
    digests: Sequence[str],
    *,
    split: str,
    view: str = "base",
    profile: Profile = "full",
    dtype: StoredDtype = "float16",
    precision: Precision = "float32",
) -> StoreIdentity:
    """The identity of the store that this detector and data set make.

    Args:
        digests: sha256 of each image of the data set, from `image_digests`.

    Raises:
        DetectorError: the spec has no digest of the weights.
    """
    if not spec.weights_digest:
        raise DetectorError(
            f"the spec of detector {spec.name!r} has no weights_digest, by which stores are told "
            "apart; load the detector by load_detector, or fill in weights_digest(detector)"
        )
    images = tuple(
        StoreImage(image.image_id, image.file_name, image.size_hw, sha256)
        for image, sha256 in zip(dataset.images, digests, strict=True)
    )
    return StoreIdentity(spec, split, images, parse_view(view).name, profile, dtype, precision)


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
    view: str = "base",
) -> Estimate:
    """Bytes and hours, from the sizes in the annotation file alone; no image is opened.

    Args:
        images_per_second: from `measure_rate`.
        view: of every image; it decides what the detector sees and so how large the maps are.
    """
    num_bytes = planned_bytes(spec, profile, dtype, _input_sizes(dataset, spec, view))
    return Estimate(len(dataset.images), num_bytes, images_per_second)


def store_sizes(
    dataset: CocoDataset, detector: Detector, view: str = "base"
) -> dict[tuple[Profile, StoredDtype], int]:
    """Bytes of every kind of store that training can use, the most exact and largest first.

    Left out are float32, for values beyond float16, and int3 and coarse, which need a codec.
    """
    spec, sizes = detector.spec, _input_sizes(dataset, detector.spec, view)
    profiles: tuple[Profile, ...] = ("full",)
    if spec.has_c1 and hasattr(detector, "stage1"):
        profiles = ("full", "lite")
    dtypes: tuple[StoredDtype, ...] = ("float16", "int8", "int4")
    return {
        (profile, dtype): planned_bytes(spec, profile, dtype, sizes)
        for dtype, profile in product(dtypes, profiles)
    }


def _input_sizes(dataset: CocoDataset, spec: DetectorSpec, view: str) -> list[tuple[int, int]]:
    """Height and width of what the detector sees of every image."""
    draw = parse_view(view).draw
    return [draw(i.image_id, i.size_hw, spec.preprocessing).input_hw for i in dataset.images]


def measure_rate(
    detector: Detector,
    dataset: CocoDataset,
    config: ExtractConfig | None = None,
    *,
    profile: Profile = "full",
    dtype: StoredDtype = "float16",
    sample: int = 32,
) -> float:
    """Images per second from file to encoded features, without writing them.

    The images lie evenly over the data set; a first batch of them, for warming up, is not timed.

    Args:
        config: of the extraction that is meant.
        profile: of its store; `dtype` likewise.

    Raises:
        DataError: an image of the sample cannot be used.
    """
    config = config or ExtractConfig()
    images = [
        StoreImage(entry.image_id, entry.file_name, entry.size_hw, "")
        for entry in sample_evenly(dataset.images, sample)
    ]

    def run(chosen: Sequence[StoreImage]) -> None:
        windows = [chosen[i : i + WINDOW] for i in range(0, len(chosen), WINDOW)]
        has_c1 = profile == "full" and detector.spec.has_c1
        features = encoded_features(
            detector, dataset.images_dir, windows, config, has_c1=has_c1, dtype=dtype
        )
        with closing(features) as found:
            for result in found:
                if isinstance(result, DataError):
                    raise result

    run(images[: config.batch_size])
    started = time.perf_counter()
    run(images)
    return len(images) / (time.perf_counter() - started)
