"""Predictions of image files as pictures and as COCO JSON, never over a file of the user's."""

import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mfd.errors import DataError, InputError
from mfd.files import write_atomically
from mfd.headtrain.inference.files import SOFTWARE, file_ids, picture_paths, refuse_foreign
from mfd.headtrain.inference.inputs import upright_rgb
from mfd.headtrain.inference.predict import Predictor
from mfd.headtrain.inference.prediction import Prediction, draw_predictions
from mfd.headtrain.inference.shown import DEFAULT, Shown
from mfd.progress import progress

RESULTS_FILE = "predictions.json"
_SECONDS = 10.0  # between two versions of the results file

Entry = dict[str, Any]


@dataclass(frozen=True)
class PredictedFiles:
    """What `predict_files` wrote.

    Attributes:
        pictures: one for each image that could be read.
        results: the JSON file.
        masks: how many on all images.
        without: how many images have no mask.
        faults: of the images that could not be used.
    """

    pictures: tuple[Path, ...]
    results: Path
    masks: int
    without: int
    faults: tuple[DataError | InputError, ...]

    def summary(self, min_score: float) -> str:
        """One line: how much was found, and what shows more where images have nothing."""
        line = f"images: {len(self.pictures)}, masks of score {min_score:g} or more: {self.masks}"
        if not self.without:
            return line
        return f"{line}; none on {self.without} of them, a lower --min-score shows more"


def predict_files(
    predictor: Predictor,
    files: Sequence[Path],
    folder: Path,
    shown: Shown = DEFAULT,
    *,
    image_ids: Sequence[int] | None = None,
    scale: int = 1,
    say: Callable[[str], object] = lambda line: None,
) -> PredictedFiles:
    """Draw the instances of each image file and list them all in `predictions.json`.

    The list is in COCO's result format, with `file_name` and what `Prediction.to_dict` has
    besides. It is written every few seconds and however this ends, Ctrl-C included. Pictures are
    of the photograph's size and named after it: `street.jpg.masks.png`.

    Args:
        folder: receives both; its earlier pictures and results by mfd are replaced.
        image_ids: of the files; None is `file_ids(files)`.
        scale: pictures have `scale` times the photograph's height and width.
        say: is told of each file that cannot be used; the others are done.

    Raises:
        ConfigError: a file in `folder` that mfd did not make has the name of one to be written.
        DataError: none of the files could be used.
    """
    ids = file_ids(files) if image_ids is None else image_ids
    results, targets = folder / RESULTS_FILE, picture_paths(files, folder)
    refuse_foreign([*targets, results], files)
    folder.mkdir(parents=True, exist_ok=True)
    pictures: list[Path] = []
    faults: list[DataError | InputError] = []
    masks = without = 0
    with _results(results) as add, progress("predict", len(files)) as advance:
        for path, target, image_id in zip(files, targets, ids, strict=True):
            try:
                rgb = upright_rgb(path)
            except (DataError, InputError) as error:
                faults.append(error)
                say(f"left out: {error}")
                advance()
                continue
            (found,) = predictor([rgb], shown, image_ids=[image_id])
            add(_entry(image_id, path, prediction) for prediction in found)
            _write_picture(target, draw_predictions(rgb, found, scale))
            pictures.append(target)
            masks += len(found)
            without += not found
            advance()
    if len(faults) == len(files):
        raise DataError(f"none of {len(files)} files could be used, the first: {faults[0]}")
    return PredictedFiles(tuple(pictures), results, masks, without, tuple(faults))


@contextmanager
def _results(path: Path) -> Iterator[Callable[[Iterable[Entry]], None]]:
    """A function that adds entries to the JSON file, which is written now and then and at the end.

    What ends the work early leaves a file of everything that was added.
    """
    lines: list[str] = []
    pause, written = _SECONDS, monotonic()

    def write() -> None:
        write_atomically(path, ("[\n" + ",\n".join(lines) + "\n]\n").encode("ascii"))

    def add(entries: Iterable[Entry]) -> None:
        nonlocal pause, written
        lines.extend(map(json.dumps, entries))
        if (started := monotonic()) - written > pause:
            write()
            written = monotonic()
            pause = max(_SECONDS, 20 * (written - started))  # a long list takes longer

    try:
        yield add
    finally:
        write()


def _entry(image_id: int, path: Path, prediction: Prediction) -> Entry:
    return {"image_id": image_id, "file_name": str(path), **prediction.to_dict()}


def _write_picture(path: Path, picture: Image.Image) -> None:
    info = PngInfo()
    info.add_text("Software", SOFTWARE)
    content = io.BytesIO()
    picture.save(content, "PNG", pnginfo=info)
    write_atomically(path, content.getvalue())
