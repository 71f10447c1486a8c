"""Predictions of image files, read ahead, in batches, written in one of several formats."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from PIL import Image

from mfd.errors import ConfigError, DataError, InputError
from mfd.headtrain.inference.files import file_ids
from mfd.headtrain.inference.formats.format import PredictedImage, Target
from mfd.headtrain.inference.formats.names import TOLERANCE, Format
from mfd.headtrain.inference.formats.open import FORMATS
from mfd.headtrain.inference.inputs import upright_rgb
from mfd.headtrain.inference.predict import Predictor
from mfd.headtrain.inference.shown import DEFAULT, Shown
from mfd.headtrain.inference.timing import Timing
from mfd.prefetch import prefetch
from mfd.progress import progress

_READERS = 2

Fault = DataError | InputError
_Loaded = tuple[int, Path, Image.Image | Fault]


@dataclass(frozen=True)
class PredictedFiles:
    """What `predict_files` did.

    Attributes:
        written: the files that a user would open, as far as there is one: pictures, then the list.
        images: how many could be read.
        masks: how many on all images.
        without: how many images have no mask.
        faults: of the images that could not be used.
        timing: what an image took.
    """

    written: tuple[Path, ...]
    images: int
    masks: int
    without: int
    faults: tuple[Fault, ...]
    timing: Timing

    def summary(self, min_score: float) -> str:
        """One line: how much was found, what shows more where images have nothing, and the time."""
        line = f"images: {self.images}, masks of score {min_score:g} or more: {self.masks}"
        if self.without:
            line += f"; none on {self.without} of them, a lower --min-score shows more"
        return f"{line}; {self.timing}"


def predict_files(
    predictor: Predictor,
    files: Sequence[Path],
    folder: Path,
    shown: Shown = DEFAULT,
    *,
    format: Format = "pictures",
    image_ids: Sequence[int] | None = None,
    batch_size: int = 1,
    scale: int = 1,
    tolerance: float = TOLERANCE,
    say: Callable[[str], object] = lambda line: None,
) -> PredictedFiles:
    """The instances of each image file, written into a folder.

    Args:
        folder: where files of the format go. Earlier pictures and their list are replaced; other
            formats want a new or empty folder, since what is there may have been corrected by hand.
        format: "pictures" draws masks and lists them in `predictions.json`; "coco", "yolo" and
            "labelme" are data sets with polygons, "png" label maps and cut-outs; see `formats`.
        image_ids: of the files; None is `file_ids(files)`.
        batch_size: images that pass the detector together, those of similar sizes.
        scale: pictures have `scale` times the photograph's height and width.
        tolerance: of polygons, see `polygons`.
        say: is told of each file that cannot be used; the others are done.

    Raises:
        ConfigError: there is no such format, or files in `folder` are in its way.
        DataError: none of the files could be used.
    """
    if format not in get_args(Format):
        raise ConfigError(f"format must be one of {', '.join(FORMATS)}, found {format!r}")
    ids = file_ids(files) if image_ids is None else image_ids
    target = Target(folder, files, predictor.categories, tolerance, scale)
    if format != "pictures":
        target.require_empty()
    writer = FORMATS[format](target)
    written: list[Path] = []
    faults: list[Fault] = []
    timing = Timing()
    images = masks = without = 0

    def leave_out(fault: Fault) -> None:
        faults.append(fault)
        say(f"left out: {fault}")
        advance()

    loaded = prefetch(_load, enumerate(files), _READERS, ahead=max(_READERS, batch_size))
    try:
        with closing(loaded), progress("predict", len(files)) as advance:
            for batch in _batches(loaded, batch_size, leave_out):
                started = time.monotonic()
                pixels, numbers = [rgb for _, _, rgb in batch], [number for number, _, _ in batch]
                found = predictor(pixels, shown, image_ids=[ids[number] for number in numbers])
                timing.add(len(batch), time.monotonic() - started)
                for (number, path, rgb), each in zip(batch, found, strict=True):
                    image = PredictedImage(number, path, ids[number], rgb, each)
                    written += writer.add(image)
                    images, masks, without = images + 1, masks + len(each), without + (not each)
                    advance()
    finally:
        written += writer.close()
    if not images:
        raise DataError(f"none of {len(files)} files could be used, the first: {faults[0]}")
    timing.end()
    return PredictedFiles(tuple(written), images, masks, without, tuple(faults), timing)


def _load(numbered: tuple[int, Path]) -> _Loaded:
    number, path = numbered
    try:
        return number, path, upright_rgb(path)
    except (DataError, InputError) as fault:
        return number, path, fault


def _batches(
    loaded: Iterator[_Loaded], size: int, leave_out: Callable[[Fault], None]
) -> Iterator[list[tuple[int, Path, Image.Image]]]:
    """The images that could be read, up to `size` together."""
    batch: list[tuple[int, Path, Image.Image]] = []
    for number, path, rgb in loaded:
        if not isinstance(rgb, Image.Image):
            leave_out(rgb)
            continue
        batch.append((number, path, rgb))
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
