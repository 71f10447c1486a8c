"""From image files to encoded features, a unit of images at a time."""

from collections.abc import Generator, Sequence
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import Any

from mfd.cache import UNIT, StoreImage, encode_features
from mfd.config import StoredDtype
from mfd.detectors import ImageFeatures, detect_all
from mfd.errors import DataError
from mfd.extract.config import ExtractConfig
from mfd.images import LoadedImage, Preprocessing, View, load_view, parse_view
from mfd.prefetch import prefetch


def encoded_features(
    detector: Any,
    images_dir: Path,
    units: Sequence[Sequence[StoreImage]],
    config: ExtractConfig,
    *,
    has_c1: bool,
    dtype: StoredDtype,
) -> Generator[list[ImageFeatures | DataError], None, None]:
    """The features of each unit's images as a store has them; an error for an unusable image.

    While the detector works on a unit, threads decode the next one, never more: memory holds the
    images of two units however slow the caller is.

    Raises:
        DetectorError: an output that is not what the spec says.
        StoreError: features that cannot be stored, such as NaN.
    """

    view, preprocessing = parse_view(config.view), detector.spec.preprocessing

    def load(image: StoreImage) -> LoadedImage | DataError:
        return load_stored(image, images_dir, preprocessing, view)

    images = chain.from_iterable(units)
    with closing(prefetch(load, images, config.workers, ahead=UNIT)) as decoded:
        for unit in units:
            loaded = list(islice(decoded, len(unit)))
            usable = [i for i, image in enumerate(loaded) if isinstance(image, LoadedImage)]
            found = detect_all(
                detector,
                [image for image in loaded if isinstance(image, LoadedImage)],
                [unit[i].image_id for i in usable],
                config.batch_size,
                precision=config.precision,
                with_c1=has_c1,
                finish=lambda features: encode_features(features, dtype),
            )
            by_place = dict(zip(usable, found, strict=True))
            yield [
                by_place[i] if isinstance(image, LoadedImage) else image
                for i, image in enumerate(loaded)
            ]


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
