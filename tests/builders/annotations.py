"""A small annotation file, with any record changed."""

from typing import Any

TRIANGLE = [[2.0, 3.0, 20.0, 5.0, 9.0, 30.0]]


def annotation(annotation_id: int, **fields: Any) -> dict[str, Any]:
    return {
        "id": annotation_id,
        "image_id": 9,
        "category_id": 90,
        "bbox": [2.0, 3.0, 18.0, 27.0],
        "area": 240.5,
        "iscrowd": 0,
        "segmentation": TRIANGLE,
        **fields,
    }


def content(**fields: Any) -> dict[str, Any]:
    return {
        "images": [
            {"id": 25, "file_name": "b/second.png", "height": 31, "width": 47},
            {"id": 9, "file_name": "first.jpg", "height": 37, "width": 53},
        ],
        "categories": [{"id": 90, "name": "toothbrush"}, {"id": 1, "name": "person"}],
        "annotations": [annotation(4)],
        **fields,
    }


def second_image(**fields: Any) -> list[dict[str, Any]]:
    first = {"id": 9, "file_name": "first.jpg", "height": 37, "width": 53}
    return [first, {"id": 25, "file_name": "b.png", "height": 31, "width": 47, **fields}]
