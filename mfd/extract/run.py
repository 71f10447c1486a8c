"""Stage one: every image once through the frozen detector, into the store."""

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mfd.cache import Store, StoreImage, StoreWriter
from mfd.coco import CocoDataset
from mfd.config import Autocast
from mfd.detectors import ImageFeatures, detect_all, stays_frozen
from mfd.errors import ConfigError, DataError
from mfd.extract.batches import decode_ahead
from mfd.images import LoadedImage, load_image
from mfd.progress import progress


@dataclass(frozen=True)
class ExtractConfig:
    """How an extraction runs.

    Args:
        batch_size: images per forward pass, at most the 16 of a unit.
        workers: threads that decode and resize.
        autocast: element type of the detector's matrix products, "none", "bf16" or "fp16".
        strict: stop at the first image that cannot be used, instead of going on without it.
    """

    batch_size: int = 4
    workers: int = 4
    autocast: Autocast = "none"
    strict: bool = False

    def __post_init__(self) -> None:
        for name in ("batch_size", "workers"):
            if (value := getattr(self, name)) < 1:
                raise ConfigError(f"{name} is {value}, expected at least 1")


@dataclass(frozen=True)
class Extraction:
    """What an extraction did: `images` are those of this run, without the ones it resumed from."""

    path: Path
    images: int
    seconds: float
    weights_digest: str


def extract(
    detector: Any,
    dataset: CocoDataset,
    writer: StoreWriter,
    config: ExtractConfig | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> Extraction:
    """Fill the store's unfinished units and declare it complete.

    Decoding, the detector and the disk work at the same time on three successive units of 16
    images. Interrupting it loses at most those; the same call goes on where it stopped.

    Args:
        detector: frozen; its weights are compared before and after.
        dataset: whose `images_dir` the writer's file names are relative to.
        writer: open on the store of this detector and data set.
        say: is told, line by line, of the weights' digest and of images that cannot be used.

    Raises:
        DataError: images could not be used. The store is complete and marks them invalid, or,
            under `strict`, unfinished.
        DetectorError: the detector breaks its contract, or its weights changed.
        StoreError: features cannot be stored, such as NaN.
    """
    config = config or ExtractConfig()
    if config.autocast != writer.identity.autocast:
        raise ConfigError(
            f"autocast is {config.autocast!r}, the store is for {writer.identity.autocast!r}; "
            "open the store of the same one"
        )
    todo = writer.todo
    total = len(writer.identity.images)
    fresh = sum(len(writer.images(unit)) for unit in todo)
    started = time.monotonic()
    try:
        with (
            stays_frozen(detector) as digest,
            progress("extract", total, done=total - fresh) as advance,
            closing(_features(detector, dataset, writer, config, say)) as units,
            closing(_write_behind(writer, units)) as written,
        ):
            say(f"weights before: sha256 {digest}")
            for count in written:
                advance(count)
    except KeyboardInterrupt:
        say(
            f"stopped: {writer.num_units - len(writer.todo)} of {writer.num_units} units are "
            "safe; the same command goes on from there"
        )
        raise
    say(f"weights after:  sha256 {digest}, unchanged")
    path = writer.finish()
    _refuse_invalid(Store.open(path).invalid, total)
    return Extraction(path, fresh, time.monotonic() - started, digest)


def _features(
    detector: Any,
    dataset: CocoDataset,
    writer: StoreWriter,
    config: ExtractConfig,
    say: Callable[[str], object],
) -> Generator[tuple[int, list[ImageFeatures | None]], None, None]:
    """Each unfinished unit and its images' features, None for images that cannot be used."""

    def load(image: StoreImage) -> LoadedImage:
        path = dataset.images_dir / image.file_name
        return load_image(path, detector.spec.preprocessing, image.original_hw)

    with_c1 = writer.identity.profile == "full"
    todo = writer.todo
    units = (writer.images(unit) for unit in todo)
    with closing(decode_ahead(units, load, config.workers)) as decoded:
        for unit, loaded in zip(todo, decoded, strict=True):
            images: list[LoadedImage] = []
            ids: list[int] = []
            for stored, image in zip(writer.images(unit), loaded, strict=True):
                if isinstance(image, LoadedImage):
                    images.append(image)
                    ids.append(stored.image_id)
                elif config.strict:
                    raise image
                else:
                    say(f"image {stored.image_id} is left out: {image}")
            found = detect_all(
                detector, images, ids, config.batch_size, autocast=config.autocast, with_c1=with_c1
            )
            by_id = dict(zip(ids, found, strict=True))
            features = [by_id.get(stored.image_id) for stored in writer.images(unit)]
            yield unit, features


def _write_behind(
    writer: StoreWriter, units: Iterable[tuple[int, list[ImageFeatures | None]]]
) -> Generator[int, None, None]:
    """The number of images of each unit once it is on the disk, while the next one is computed."""
    clock = time.monotonic()

    def write(unit: int, features: list[ImageFeatures | None]) -> None:
        nonlocal clock
        writer.write(unit, features)
        now = time.monotonic()
        writer.spend(now - clock)
        clock = now

    with ThreadPoolExecutor(1, thread_name_prefix="store") as disk:
        pending: tuple[Future[None], int] | None = None
        for unit, features in units:
            if pending:
                pending[0].result()
                yield pending[1]
            pending = disk.submit(write, unit, features), len(features)
        if pending:
            pending[0].result()
            yield pending[1]


def _refuse_invalid(invalid: Sequence[StoreImage], total: int) -> None:
    if invalid:
        names = ", ".join(image.file_name for image in invalid[:5])
        more = f" and {len(invalid) - 5} more" if len(invalid) > 5 else ""
        raise DataError(
            f"{len(invalid)} of {total} images could not be used and are missing in the store: "
            f"{names}{more}; go on without them, or mend the files and extract all images of the "
            "split into a new store, as a store's name stands for these very files"
        )
