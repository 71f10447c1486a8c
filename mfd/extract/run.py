"""Stage one: every image once through the frozen detector, into the store."""

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, islice, tee
from pathlib import Path
from threading import Lock

from mfd.cache import Store, StoreImage, StoreWriter
from mfd.coco import CocoDataset
from mfd.detectors import Detector, ImageFeatures, check_repeatable, stays_frozen
from mfd.detectors import load_detector as load_detector  # named by this room's face too
from mfd.errors import ConfigError, DataError
from mfd.extract.config import ExtractConfig
from mfd.extract.features import WINDOW_UNITS, encoded_features, load_stored
from mfd.extract.parts import Part, claimed_windows
from mfd.images import LoadedImage, parse_view
from mfd.locks import locks_wanted
from mfd.prefetch import prefetch
from mfd.progress import progress
from mfd.text import some

_LOOK_SECONDS = 1.0  # between two looks at what other processes do
_STORE_THREADS = 3  # each waits for the disk most of the time


@dataclass(frozen=True)
class Extraction:
    """What an extraction did.

    Attributes:
        images: of this run, without those that it resumed from or that others made; of a part that
            watches, those that all processes made meanwhile.
        complete: whether the store is; if not, units of other processes are missing.
    """

    path: Path
    images: int
    seconds: float
    weights_digest: str
    complete: bool = True


def extract(
    detector: Detector,
    dataset: CocoDataset,
    writer: StoreWriter,
    config: ExtractConfig | None = None,
    say: Callable[[str], object] = lambda line: None,
    part: Part | None = None,
) -> Extraction:
    """Fill the store's unfinished units and declare it complete.

    Decoding, the detector and the disk work at the same time on successive windows of 64 images,
    within which images of one padded size share batches. Interrupting it loses at most those; the
    same call resumes where it stopped. Images that were left out are tried once more, and the units
    of those that can be read now redone.

    Args:
        detector: frozen; its weights are compared before and after.
        dataset: whose `images_dir` the writer's file names are relative to.
        writer: open on the store of this detector and data set.
        say: is told, line by line, of the weights' digest and of images that cannot be used.
        part: of the units, if others fill the store at the same time; None: all. Who has done its
            own does those of others; who finds nothing left to do declares the store complete. One
            that watches waits for those that are at work, and makes what they leave undone.

    Raises:
        DataError: images could not be used. The store is complete and marks them invalid, or,
            under `strict`, unfinished.
        DetectorError: the detector breaks its contract, gives other values for an image each time,
            or its weights changed.
        StoreError: features cannot be stored, such as NaN.
    """
    config, part = config or ExtractConfig(), part or Part()
    if config.precision == "auto":
        config = replace(config, precision=writer.identity.precision)
    given = {"view": parse_view(config.view).name, "precision": config.precision}
    for field, wanted in given.items():
        if wanted != (stored := getattr(writer.identity, field)):
            raise ConfigError(
                f"{field} is {wanted!r}, the store is for {stored!r}; open the store of the same "
                "one"
            )
    if again := _readable_now(writer, dataset.images_dir, detector, part):
        say(f"images that could not be used before and can now: {len(again)}")
        writer.revoke(again)
    todo = writer.todo
    total = len(writer.identity.images)
    before = shown = writer.num_images_done
    fresh = 0
    started = looked = time.monotonic()
    try:
        with (
            stays_frozen(detector) as digest,
            progress("extract", total, done=shown) as advance,
        ):
            say(f"weights before: sha256 {digest}")
            if todo:
                _check_repeatable(detector, dataset, writer, todo[0])
            while True:
                with (
                    closing(_features(detector, dataset, writer, config, say, part)) as units,
                    closing(_write_behind(writer, units)) as written,
                ):
                    for count in written:
                        fresh += count
                        if time.monotonic() - looked > _LOOK_SECONDS:
                            writer.refresh()  # the bar is of all processes together
                            looked = time.monotonic()
                        advance(writer.num_images_done - shown)
                        shown = writer.num_images_done
                if not (part.watches and locks_wanted() and writer.todo):
                    break
                time.sleep(_LOOK_SECONDS)
                writer.refresh()
                advance(writer.num_images_done - shown)
                shown = writer.num_images_done
    except KeyboardInterrupt:
        say(
            f"stopped: {writer.num_units - len(writer.todo)} of {writer.num_units} units are "
            "safe; the same command resumes from there"
        )
        raise
    say(f"weights after:  sha256 {digest}, unchanged")
    seconds = time.monotonic() - started
    writer.refresh()
    if left := len(writer.todo):
        say(
            f"units that other processes make or have yet to make: {left} of {writer.num_units}; "
            "whoever makes the last one declares the store complete"
        )
        return Extraction(writer.path, fresh, seconds, digest, complete=False)
    if part.watches:
        fresh = writer.num_images_done - before
    path = writer.finish()
    _refuse_invalid(Store.open(path).invalid, total)
    return Extraction(path, fresh, seconds, digest)


def _check_repeatable(
    detector: Detector, dataset: CocoDataset, writer: StoreWriter, unit: int
) -> None:
    """Try the detector on the first of the unit's images that can be read."""
    view, preprocessing = parse_view(writer.identity.view), detector.spec.preprocessing
    for image in writer.images(unit):
        loaded = load_stored(image, dataset.images_dir, preprocessing, view)
        if isinstance(loaded, LoadedImage):  # others are reported when their turn comes
            check_repeatable(detector, loaded, writer.identity.precision)
            return


def _readable_now(
    writer: StoreWriter, images_dir: Path, detector: Detector, part: Part
) -> list[StoreImage]:
    """The images of the part's finished units that were left out and are no longer bad."""
    view, preprocessing = parse_view(writer.identity.view), detector.spec.preprocessing
    return [
        image
        for image in writer.left_out(part.owns)
        if isinstance(load_stored(image, images_dir, preprocessing, view), LoadedImage)
    ]


def _features(
    detector: Detector,
    dataset: CocoDataset,
    writer: StoreWriter,
    config: ExtractConfig,
    say: Callable[[str], object],
    part: Part,
) -> Generator[tuple[int, list[ImageFeatures | None]], None, None]:
    """Each unit that this process makes, and its images' features; None for unusable images."""
    identity = writer.identity
    windows, ahead = tee(claimed_windows(writer, part))
    encoded = encoded_features(
        detector,
        dataset.images_dir,
        ([image for unit in window for image in writer.images(unit)] for window in ahead),
        config,
        has_c1=identity.has_c1,
        dtype=identity.dtype,
    )
    with closing(encoded) as found:
        for unit in chain.from_iterable(windows):
            images = writer.images(unit)
            results = list(islice(found, len(images)))
            if writer.has_claimed(unit):
                yield unit, _usable(images, results, config, say)


def _usable(
    images: Sequence[StoreImage],
    results: Sequence[ImageFeatures | DataError],
    config: ExtractConfig,
    say: Callable[[str], object],
) -> list[ImageFeatures | None]:
    """The results with None for images that cannot be used, which are named."""
    features: list[ImageFeatures | None] = []
    for image, result in zip(images, results, strict=True):
        if isinstance(result, DataError):
            if config.strict:
                raise result
            say(f"image {image.image_id} is left out: {result}")
        features.append(None if isinstance(result, DataError) else result)
    return features


def _write_behind(
    writer: StoreWriter, units: Iterable[tuple[int, list[ImageFeatures | None]]]
) -> Generator[int, None, None]:
    """The number of images of each unit that is on the disk, while the next ones are computed."""
    clock, reading = time.monotonic(), Lock()

    def write(unit: tuple[int, list[ImageFeatures | None]]) -> int:
        nonlocal clock
        writer.write(*unit)
        with reading:
            spent, clock = time.monotonic() - clock, time.monotonic()
        writer.add_elapsed(spent)
        return len(unit[1])

    return prefetch(write, units, workers=_STORE_THREADS, ahead=WINDOW_UNITS)


def _refuse_invalid(invalid: Sequence[StoreImage], total: int) -> None:
    if invalid:
        names = some(image.file_name for image in invalid)
        raise DataError(
            f"{len(invalid)} of {total} images could not be used and are missing in the store: "
            f"{names}. Training can proceed without them. To include them, fix the files and "
            "extract again: files that could not be reached are added to this store, edited ones "
            "make a new one (their hashes are part of its identity)"
        )
