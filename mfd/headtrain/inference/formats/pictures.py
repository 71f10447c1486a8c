"""Masks drawn on the images, and all of them listed in COCO's result format."""

import json
from pathlib import Path
from time import monotonic

from PIL.Image import Image

from mfd.files import write_atomically
from mfd.headtrain.inference.files import picture_paths, refuse_foreign, write_picture
from mfd.headtrain.inference.formats.format import PredictedImage, Target
from mfd.headtrain.inference.prediction import draw_predictions

RESULTS_FILE = "predictions.json"
_SECONDS = 10.0  # between two versions of the results file


class Pictures:
    """`street.jpg.masks.png` for each image, and `predictions.json`.

    Pictures are of the photograph's size. The list has `file_name` and what `Prediction.to_dict`
    has besides; it is written every few seconds and however the work ends.

    Raises:
        ConfigError: a file in the folder that mfd did not make has the name of one to be written.
    """

    def __init__(self, target: Target) -> None:
        self._scale = target.scale
        self._results = target.folder / RESULTS_FILE
        self._pictures = picture_paths(target.files, target.folder)
        refuse_foreign([*self._pictures, self._results], target.files)
        target.folder.mkdir(parents=True, exist_ok=True)
        self._lines: list[str] = []
        self._pause, self._written = _SECONDS, monotonic()

    def add(self, image: PredictedImage) -> list[Path]:
        """Write the picture, and the list now and then."""
        of_image = {"image_id": image.image_id, "file_name": str(image.path)}
        self._lines += (json.dumps({**of_image, **each.to_dict()}) for each in image.found)
        if (started := monotonic()) - self._written > self._pause:
            self.close()
            self._written = monotonic()
            self._pause = max(_SECONDS, 20 * (self._written - started))  # a long list takes longer
        path = self._pictures[image.number]
        drawn: Image = draw_predictions(image.rgb, image.found, self._scale)
        write_picture(path, drawn)
        return [path]

    def close(self) -> list[Path]:
        """Write the list of everything that was added."""
        write_atomically(self._results, ("[\n" + ",\n".join(self._lines) + "\n]\n").encode("ascii"))
        return [self._results]
