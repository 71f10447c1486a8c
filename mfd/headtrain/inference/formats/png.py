"""Label maps and cut-outs as PNG files, for programs that want pixels."""

import io
from pathlib import Path

import numpy as np
from jaxtyping import Integer
from PIL import Image

from mfd.files import write_atomically
from mfd.headtrain.inference.files import distinct
from mfd.headtrain.inference.formats.format import PredictedImage, Target
from mfd.headtrain.inference.prediction import Prediction


class Png:
    """Two maps of each image and a folder of its instances, each cut out.

    `street.jpg.instances.png` has at each pixel the number of the instance there, from 1 and the
    best first, `street.jpg.categories.png` its category id; 0 is none, and where masks overlap the
    better instance is seen. Both are grey: of 8 bits, or of 16 if a number is above 255.
    `street.jpg.cutouts/1-cat.png` is instance 1, transparent around its mask.
    """

    def __init__(self, target: Target) -> None:
        self._folder = target.folder
        self._names = distinct([file.name for file in target.files])

    def add(self, image: PredictedImage) -> list[Path]:
        """Write the image's maps and cut-outs."""
        name = self._names[image.number]
        instances = np.zeros((image.rgb.height, image.rgb.width), np.int64)
        categories = instances.copy()
        numbered = list(enumerate(image.with_pixels, start=1))
        for number, prediction in reversed(numbered):  # the best last, over the others
            mask = prediction.mask
            instances[mask], categories[mask] = number, prediction.category_id
        paths = [self._folder / f"{name}.{kind}.png" for kind in ("instances", "categories")]
        for path, values in zip(paths, (instances, categories), strict=True):
            _save(path, _grey(values))
        cutouts = self._folder / f"{name}.cutouts"
        cutouts.mkdir()
        for number, prediction in numbered:
            _save(cutouts / f"{number}-{_plain(prediction.category)}.png", _cut(image, prediction))
        return paths

    def close(self) -> list[Path]:
        """Nothing is left to do."""
        return []


def _grey(values: Integer[np.ndarray, "H W"]) -> Image.Image:
    return Image.fromarray(values.astype(np.uint8 if values.max() < 256 else np.uint16))


def _cut(image: PredictedImage, prediction: Prediction) -> Image.Image:
    """The pixels of the instance, as large as its mask."""
    left, top, width, height = prediction.mask_box_xywh
    place = (left, top, left + width, top + height)
    cut = image.rgb.crop(place)
    cut.putalpha(Image.fromarray(prediction.mask.astype(np.uint8) * 255).crop(place))
    return cut


def _plain(name: str) -> str:
    """A category's name as part of a file's: its letters and digits, 40 at most."""
    return "".join(c if c.isalnum() else "-" for c in name)[:40]


def _save(path: Path, image: Image.Image) -> None:
    content = io.BytesIO()
    image.save(content, "PNG")
    write_atomically(path, content.getvalue())
