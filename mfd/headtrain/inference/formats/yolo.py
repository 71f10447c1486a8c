"""A YOLO data set of what was found: `data.yaml`, copies of the images, and their labels."""

import shutil
from pathlib import Path

import yaml

from mfd.files import write_atomically
from mfd.headtrain.inference.files import distinct
from mfd.headtrain.inference.formats.format import PredictedImage, Target
from mfd.headtrain.inference.polygons import Polygon, join


class Yolo:
    """`data.yaml`, `images/street.jpg` and `labels/street.txt`.

    Classes are numbered from 0 in the order of the category ids. A line is a class and one polygon,
    so the parts of a mask are joined by slits of no width. Labels belong to the upright image, as
    YOLO's tools read it. An image without instances has an empty label file: nothing is on it.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._stems = distinct([file.stem for file in target.files])
        self._classes = {key: number for number, key in enumerate(target.categories)}
        self._images, self._labels = target.folder / "images", target.folder / "labels"
        self._images.mkdir()
        self._labels.mkdir()

    def add(self, image: PredictedImage) -> list[Path]:
        """Copy the image and write its labels."""
        stem = self._stems[image.number]
        shutil.copyfile(image.path, self._images / f"{stem}{image.path.suffix}")
        lines = [
            _line(
                self._classes[prediction.category_id],
                join(self._target.polygons(prediction)),
                image.rgb.size,
            )
            for prediction in image.with_pixels
        ]
        write_atomically(self._labels / f"{stem}.txt", "".join(lines).encode("ascii"))
        return []

    def close(self) -> list[Path]:
        """Write `data.yaml`; both splits that training asks for are these images."""
        names = dict(enumerate(self._target.categories.values()))
        content = {"train": "images", "val": "images", "names": names}
        path = self._target.folder / "data.yaml"
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        write_atomically(path, text.encode())
        return [path]


def _line(number: int, corners: Polygon, size_wh: tuple[int, int]) -> str:
    values = (value / side for point in corners for value, side in zip(point, size_wh, strict=True))
    return " ".join([str(number), *(f"{value:.6g}" for value in values)]) + "\n"
