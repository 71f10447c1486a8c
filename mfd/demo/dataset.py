"""A generated data set in COCO's format: pictures, boxes and masks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from PIL import Image
from pycocotools import mask as rle

from mfd.coco import encode_segmentation, mask_runs
from mfd.demo.contour import has_hole, polygons
from mfd.demo.scene import Scene, SceneConfig, SceneObject, compose

_SHORTER_SIDE, _LONGER_SIDE = (160, 224), (192, 288)  # from, to; pixels
_JPEG_QUALITY = 92


def generate(
    out_dir: Path, num_train: int, num_val: int, seed: int, config: SceneConfig | None = None
) -> None:
    """Writes train2017/, val2017/ and annotations/instances_{train,val}2017.json to `out_dir`.

    Every picture depends on `seed`, its split and its number only: a larger data set begins with
    the same pictures.

    Args:
        config: what is in the pictures.
    """
    config = config or SceneConfig()
    (out_dir / "annotations").mkdir(parents=True, exist_ok=True)
    for number, (split, count) in enumerate((("train", num_train), ("val", num_val))):
        images_dir = out_dir / f"{split}2017"
        images_dir.mkdir(exist_ok=True)
        annotations = _write_split(images_dir, count, (seed, number), config)
        path = out_dir / "annotations" / f"instances_{split}2017.json"
        path.write_text(json.dumps(annotations), encoding="utf-8")


def random_scene(rng: Generator, config: SceneConfig | None = None) -> Scene:
    """A picture of a size that is drawn too: landscape or portrait, 160 to 288 pixels."""
    shorter = int(rng.integers(*_SHORTER_SIDE, endpoint=True))
    longer = int(rng.integers(max(shorter, _LONGER_SIDE[0]), _LONGER_SIDE[1], endpoint=True))
    size_hw = (shorter, longer) if rng.uniform() < 0.6 else (longer, shorter)
    return compose(rng, size_hw, config)


def _write_split(
    images_dir: Path, count: int, seed: tuple[int, int], config: SceneConfig
) -> dict[str, Any]:
    """Writes the pictures; returns the contents of their annotation file."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(count):
        rng = np.random.default_rng([*seed, index])
        scene = random_scene(rng, config)
        height, width = scene.image.shape[:2]
        image_id = 7 * index + 11  # with gaps, as COCO's
        name = f"{image_id:012d}.jpg"
        Image.fromarray(scene.image).save(images_dir / name, quality=_JPEG_QUALITY)
        images.append({"id": image_id, "file_name": name, "height": height, "width": width})
        for item in scene.objects:
            described = {"id": len(annotations) + 1, "image_id": image_id, **_describe(rng, item)}
            annotations.append(described)
    categories = [{"id": key, "name": name} for key, (name, _) in config.categories.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def _describe(rng: Generator, item: SceneObject) -> dict[str, Any]:
    """Category, segmentation, and the box and area that follow from the segmentation."""
    size_hw = (item.mask.shape[0], item.mask.shape[1])
    segmentation = _segmentation(rng, item)
    encoded = encode_segmentation(segmentation, size_hw)
    return {
        "category_id": item.category_id,
        "iscrowd": int(item.iscrowd),
        "segmentation": segmentation,
        "bbox": rle.toBbox(encoded).tolist(),
        "area": float(rle.area(encoded)),
    }


def _segmentation(rng: Generator, item: SceneObject) -> list[list[float]] | dict[str, Any]:
    """Polygons; or, for crowds and masks with holes, RLE: half of them as plain counts."""
    if not (item.iscrowd or has_hole(item.mask)):
        return polygons(item.mask)
    encoded = dict(rle.encode(np.asfortranarray(item.mask.astype(np.uint8))))
    if item.iscrowd or rng.uniform() < 0.5:
        size_hw = (item.mask.shape[0], item.mask.shape[1])
        return {**encoded, "counts": mask_runs(encoded, size_hw).tolist()}
    return {**encoded, "counts": encoded["counts"].decode("ascii")}
