"""Data sets with objects that have a box but no mask score as pycocotools scores their file."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mfd.coco import read_dataset
from mfd.headtrain.evaluation.metrics.coco import average_precision, ground_truth

FIGURES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
SIZES_WH = {3: (311, 203), 4: (157, 402), 9: (255, 256)}


def rle_of(box: np.ndarray, size_wh: tuple[int, int]) -> dict[str, Any]:
    width, height = size_wh
    mask = np.zeros((height, width), np.uint8, order="F")
    left, top, right, bottom = np.concatenate((box[:2], box[:2] + box[2:])).clip(0).astype(int)
    mask[top:bottom, left:right] = 1
    rle = mask_utils.encode(mask)
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def random_data(seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A COCO file's content and detections; every third object has no usable segmentation."""
    random = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = []
    detections: list[dict[str, Any]] = []
    for image_id, size_wh in SIZES_WH.items():
        for place in range(15):
            box = np.concatenate((random.uniform(-20, 150, 2), random.uniform(4, 140, 2)))
            if place == 4:
                box[2:] = (0, 30)  # of zero width
            elif place == 5:
                box[:2] = (500, 90)  # out of frame
            elif place == 6:
                box[2] = -8  # of negative width
            x, y, width, height = (round(float(v), 2) for v in box)
            polygon = [x, y, x + width, y, x + width, y + height, x, y + height]
            useless = (None, [], [[x, y, x + 9, y + 9]], rle_of(np.zeros(4), size_wh))
            segmentation = (
                useless[random.integers(4)]
                if place % 3 == 0
                else rle_of(box, size_wh)
                if place % 3 == 1
                else [polygon]
            )
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 1 + place % 2,
                    "bbox": [x, y, width, height],
                    "area": abs(width * height) * random.uniform(0.3, 1),
                    "iscrowd": int(place in (9, 10)),
                    "segmentation": segmentation,
                }
            )
            for _ in range(random.integers(4)):
                found = box + random.normal(0, 0.06 * np.abs(box[2:]).max() + 0.5, 4)
                found[2:] = found[2:].clip(1)
                detections.append(
                    {
                        "image_id": image_id,
                        "category_id": 1 + place % 2,
                        "score": float(random.random()),
                        "bbox": found.tolist(),
                        "segmentation": rle_of(found, size_wh),
                    }
                )
    images = [
        {"id": i, "file_name": f"{i}.jpg", "width": w, "height": h}
        for i, (w, h) in SIZES_WH.items()
    ]
    categories = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    content = {"images": images, "categories": categories, "annotations": annotations}
    return content, detections


def pycocotools_figures(
    path: Path, detections: list[dict[str, Any]], kind: Literal["bbox", "segm"]
) -> list[float | None]:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(path)
        keys = ("image_id", "category_id", "score", "bbox" if kind == "bbox" else "segmentation")
        found = truth.loadRes([{key: entry[key] for key in keys} for entry in detections])
        evaluation = COCOeval(truth, found, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [None if value == -1 else float(value) for value in evaluation.stats[:6]]


def our_figures(
    path: Path, detections: list[dict[str, Any]], kind: Literal["bbox", "segm"]
) -> list[float | None]:
    truth = ground_truth(read_dataset(path, path.parent), kind)
    figures = average_precision(truth, detections, kind).overall
    return [figures[name] for name in FIGURES]


@pytest.mark.parametrize("seed", range(6))
def test_box_ap_is_pycocotools_own_on_the_file_as_it_is(seed: int, tmp_path: Path) -> None:
    content, detections = random_data(seed)
    (tmp_path / "a.json").write_text(json.dumps(content))
    expected = pycocotools_figures(tmp_path / "a.json", detections, "bbox")
    assert 0.05 < expected[0] < 0.9
    assert our_figures(tmp_path / "a.json", detections, "bbox") == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(6))
def test_mask_ap_counts_objects_without_a_mask_as_empty_ones(seed: int, tmp_path: Path) -> None:
    content, detections = random_data(seed)
    (tmp_path / "a.json").write_text(json.dumps(content))
    for annotation in content["annotations"]:  # pycocotools stops on what encloses nothing
        segmentation = annotation["segmentation"]
        if not segmentation or (isinstance(segmentation, list) and len(segmentation[0]) < 6):
            size_wh = SIZES_WH[annotation["image_id"]]
            annotation["segmentation"] = rle_of(np.zeros(4), size_wh)
    (tmp_path / "b.json").write_text(json.dumps(content))
    expected = pycocotools_figures(tmp_path / "b.json", detections, "segm")
    assert 0.05 < expected[0] < 0.9
    assert our_figures(tmp_path / "a.json", detections, "segm") == pytest.approx(expected)


def test_an_object_without_a_mask_lowers_box_ap_if_it_is_not_found(tmp_path: Path) -> None:
    content, _ = random_data(0)
    content["annotations"] = content["annotations"][1:3]
    content["annotations"][0].update(segmentation=[[1, 2, 3, 4]], category_id=1)
    content["annotations"][1].update(category_id=1)
    (tmp_path / "a.json").write_text(json.dumps(content))
    second = content["annotations"][1]
    found = [{"image_id": 3, "category_id": 1, "score": 0.9, "bbox": second["bbox"]}]
    dataset = read_dataset(tmp_path / "a.json", tmp_path)
    ap = average_precision(ground_truth(dataset, "bbox"), found, "bbox").ap
    assert ap == pytest.approx(51 / 101)  # of 101 recalls, 0 to 0.5 are reached
