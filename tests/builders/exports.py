"""Sound annotation files, and what unlucky exports make of them."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

Content = dict[str, Any]
Edit = Callable[[dict[str, Any], int, int], None]  # of an annotation; width, height of its image
SIZES_WH = ((97, 61), (53, 131), (211, 88))


def sound(seed: int = 0, per_image: int = 12) -> Content:
    """Triangles and quadrangles in images of odd sizes, an RLE and a crowd region in each."""
    random = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = []
    for image_id, (width, height) in enumerate(SIZES_WH, start=1):
        for place in range(per_image):
            start = random.beta(0.5, 0.5, 2) * (0.7 * width, 0.7 * height)
            size = random.uniform(0.1, 0.3, 2) * (width, height)
            points = start + size * random.uniform(0, 1, (3 + place % 2, 2))
            points[:3] = start + size * ((0, random.random()), (1, 0), (random.random(), 1))
            middle = points.mean(0)
            points = points[np.argsort(np.arctan2(*(points - middle).T))]  # sides do not cross
            polygon = points.ravel().round(2).tolist()
            box = [*points.min(0), *np.ptp(points, axis=0)]
            rle = coco_mask.merge(coco_mask.frPyObjects([polygon], height, width))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 1 + place % 2,
                    "bbox": [round(float(value), 2) for value in box],
                    "area": float(coco_mask.area(rle)),
                    "iscrowd": int(place == 0),
                    "segmentation": [polygon],
                }
            )
            if place < 2:
                rle["counts"] = rle["counts"].decode()
                annotations[-1]["segmentation"] = rle
                annotations[-1]["bbox"] = coco_mask.toBbox(rle).tolist()
    return {
        "images": [
            {"id": i, "file_name": f"{i}.jpg", "width": width, "height": height}
            for i, (width, height) in enumerate(SIZES_WH, start=1)
        ],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "annotations": annotations,
    }


def edited(content: Content, *edits: Edit) -> Content:
    content = deepcopy(content)
    sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
    for annotation in content["annotations"]:
        for edit in edits:
            edit(annotation, *sizes[annotation["image_id"]])
    return content


def boxes(change: Callable[[Any, Any, Any], Any]) -> Edit:
    """Changes (x, y) and (w, h), given (W, H), into the four new numbers."""

    def edit(annotation: dict[str, Any], width: int, height: int) -> None:
        box = np.array(annotation["bbox"])
        new = change(box[:2], box[2:], np.array((width, height)))
        annotation["bbox"] = np.concatenate(new).tolist()

    return edit


def polygons(change: Callable[[Any, Any], Any]) -> Edit:
    """Changes all points (n, 2), given (W, H); RLEs stay."""

    def edit(annotation: dict[str, Any], width: int, height: int) -> None:
        if isinstance(annotation["segmentation"], list):
            points = np.reshape(annotation["segmentation"][0], (-1, 2))
            changed = change(points, np.array((width, height)))
            annotation["segmentation"] = [np.ravel(changed).tolist()]

    return edit


def without_rle(annotation: dict[str, Any], width: int, height: int) -> None:
    if isinstance(annotation["segmentation"], dict):
        annotation["segmentation"] = []


def without_mask(annotation: dict[str, Any], width: int, height: int) -> None:
    annotation["segmentation"] = None


def area(change: Callable[[float, list[float]], float]) -> Edit:
    def edit(annotation: dict[str, Any], width: int, height: int) -> None:
        annotation["area"] = change(annotation["area"], annotation["bbox"])

    return edit


CORNERS = boxes(lambda xy, wh, size: (xy, xy + wh))
CENTRE = boxes(lambda xy, wh, size: (xy + wh / 2, wh))
BOXES_IN_UNIT = boxes(lambda xy, wh, size: (xy / size, wh / size))
SWAPPED = boxes(lambda xy, wh, size: (xy[::-1], wh[::-1]))
SWAPPED_CORNERS = boxes(lambda xy, wh, size: (xy[::-1], (xy + wh)[::-1]))
POLYGONS_IN_UNIT = polygons(lambda points, size: points / size)
POLYGONS_SWAPPED = polygons(lambda points, size: points[:, ::-1])
