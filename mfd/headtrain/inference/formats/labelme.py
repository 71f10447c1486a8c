"""labelme's JSON files, one for each image, whose polygons can be corrected by hand."""

import os
from pathlib import Path
from typing import Any

from mfd.files import write_json
from mfd.headtrain.inference.files import distinct
from mfd.headtrain.inference.formats.format import PredictedImage, Target

VERSION = "5.0.0"
"""labelme's whose fields these are."""


class Labelme:
    """`street.json`, a shape for each part of a mask; parts of one instance share a `group_id`.

    The score is in `description`. `imagePath` leads from the JSON file to the image, which is not
    copied.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._stems = distinct([file.stem for file in target.files])

    def add(self, image: PredictedImage) -> list[Path]:
        """Write the image's file."""
        folder = self._target.folder
        path = folder / f"{self._stems[image.number]}.json"
        shapes = [
            {
                "label": prediction.category,
                "points": [list(point) for point in polygon],
                "group_id": number,
                "description": f"score {prediction.score:.3f}",
                "shape_type": "polygon",
                "flags": {},
            }
            for number, prediction in enumerate(image.with_pixels)
            for polygon in self._target.polygons(prediction)
        ]
        content: dict[str, Any] = {
            "version": VERSION,
            "flags": {},
            "shapes": shapes,
            "imagePath": Path(os.path.relpath(image.path.absolute(), folder.absolute())).as_posix(),
            "imageData": None,
            "imageHeight": image.rgb.height,
            "imageWidth": image.rgb.width,
        }
        write_json(path, content)
        return [path]

    def close(self) -> list[Path]:
        """Nothing is left to do."""
        return []
