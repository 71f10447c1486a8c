"""A COCO data set of what was found: images, categories and annotations in one file."""

import os
from pathlib import Path
from typing import Any

from mfd.files import write_json
from mfd.headtrain.inference.formats.format import PredictedImage, Target
from mfd.headtrain.inference.polygons import Polygon
from mfd.headtrain.inference.prediction import Prediction

ANNOTATIONS_FILE = "annotations.json"


class Coco:
    """`annotations.json`, with masks as polygons, which every tool that reads COCO can change.

    `file_name` counts from the folder that all images have in common, which `info` names; each
    annotation has its `score` beside COCO's own fields. Area and box are those of the exact mask.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        folders = [os.path.abspath(file.parent) for file in target.files]
        self._root = os.path.commonpath(folders)
        self._content: dict[str, Any] = {
            "info": {"description": "predicted by mfd", "image_folder": self._root},
            "images": [],
            "categories": [{"id": key, "name": name} for key, name in target.categories.items()],
            "annotations": [],
        }

    def add(self, image: PredictedImage) -> list[Path]:
        """Keep the image and its instances."""
        name = Path(os.path.relpath(os.path.abspath(image.path), self._root)).as_posix()
        width, height = image.rgb.size
        self._content["images"].append(
            {"id": image.image_id, "file_name": name, "height": height, "width": width}
        )
        annotations = self._content["annotations"]
        for prediction in image.with_pixels:
            outlined = self._target.polygons(prediction)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image.image_id,
                    **annotation(prediction, outlined),
                }
            )
        return []

    def close(self) -> list[Path]:
        """Write the file."""
        path = self._target.folder / ANNOTATIONS_FILE
        write_json(path, self._content)
        return [path]


def annotation(prediction: Prediction, outlined: list[Polygon]) -> dict[str, Any]:
    """COCO's fields of an instance, but for its ids, and its score."""
    return {
        "category_id": prediction.category_id,
        "segmentation": [[value for point in each for value in point] for each in outlined],
        "area": prediction.area,
        "bbox": list(prediction.mask_box_xywh),
        "iscrowd": 0,
        "score": round(prediction.score, 7),
    }
