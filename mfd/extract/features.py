"""From image files to encoded features, a window of images at a time."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from itertools import chain, islice, tee
from pathlib import Path

from mfd.cache import UNIT, StoreImage, encode_batch
from mfd.config import StoredDtype
from mfd.detectors import Detector, ImageFeatures, detect_all, device_of, precision_on
from mfd.errors import DataError
from mfd.extract.config import ExtractConfig
from mfd.images import LoadedImage, Preprocessing, View, load_view, parse_view
from mfd.prefetch import prefetch

WINDOW_UNITS = 4
WINDOW = WINDOW_UNITS * UNIT
"""Images among which those of one padded size are looked for: at 800 x 1333 pixels 0.8 GB decoded
and 2.9 GB as float16 maps with C1. In 32 the demo's images leave so many batches of one that they
take a fifth more of a CPU's time; in 64 as much as in batches of mixed sizes."""


def encoded_features(
    detector: Detector,
    images_dir: Path,
    windows: Iterable[Sequence[StoreImage]],
    config: ExtractConfig,
    *,
    has_c1: bool,
    dtype: StoredDtype,
) -> Generator[ImageFeatures | DataError, None, None]:
    """The features of one image after the other as a store has them; an error for an unusable one.

    Batches are made within a window. While the detector works on one, threads decode the next,
    never more: memory holds the images of two windows however slow the caller is.

    Raises:
        DetectorError: an output that is not what the spec says.
        StoreError: features that cannot be stored, such as NaN.
    """

    view, preprocessing = parse_view(config.view), detector.spec.preprocessing
    precision = precision_on(device_of(detector), config.precision)

    def load(image: StoreImage) -> LoadedImage | DataError:
        return load_stored(image, images_dir, preprocessing, view)

    def detected(
        window: Sequence[StoreImage], loaded: Sequence[LoadedImage | DataError]
    ) -> dict[int, ImageFeatures | DataError]:
        usable = [i for i, image in enumerate(loaded) if isinstance(image, LoadedImage)]
        found = detect_all(
            detector,
            [image for image in loaded if isinstance(image, LoadedImage)],
            [window[i].image_id for i in usable],
            config.batch_size,
            precision=precision,
            with_c1=has_c1,
            finish=lambda features: encode_batch(features, dtype),
        )
        by_place: dict[int, ImageFeatures | DataError] = dict(zip(usable, found, strict=True))
        return by_place | {i: e for i, e in enumerate(loaded) if isinstance(e, DataError)}

    windows, ahead = tee(windows)
    images = chain.from_iterable(ahead)
    with closing(prefetch(load, images, config.workers, ahead=WINDOW)) as decoded:
        for window in windows:
            features = detected(window, list(islice(decoded, len(window))))
            for place in range(len(window)):
                yield features.pop(place)  # so that memory holds what is not written yet


def load_stored(
    image: StoreImage, images_dir: Path, preprocessing: Preprocessing, view: View
) -> LoadedImage | DataError:
    """The image as the view shows it, from a file of the listed digest; an error without."""
    placement = view.draw(image.image_id, image.original_hw, preprocessing)
    path = images_dir / image.file_name
    try:
        return load_view(path, placement, preprocessing, image.sha256 or None)
    except DataError as error:
        return error
