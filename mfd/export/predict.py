"""Masks of pictures by model.onnx in this folder: python predict.py PICTURE [PICTURE ...]

Prints each instance as a line of JSON, and draws the masks into PICTURE.masks.png. Needs
onnxruntime and numpy; Pillow opens, resizes and saves the pictures.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

MIN_SCORE = 0.4  # of the class, as the detector gives it


def find(session: Any, picture: Image.Image, min_score: float = MIN_SCORE) -> list[dict[str, Any]]:
    """The instances in an upright RGB picture, best first; boxes in its pixels."""
    facts = json.loads(session.get_modelmeta().custom_metadata_map["mfd"])
    image = pixels(picture, facts["preprocessing"])
    padding = [(0, -side % facts["padding_step"]) for side in image.shape[1:]]
    images = np.pad(image, [(0, 0), *padding])[None]
    size = np.array(image.shape[1:], np.int64)
    values = session.run(facts["outputs"]["model"], {"images": images, "image_hw": size})
    boxes, scores, labels, queries, quality, masks, frames = (value[0] for value in values)
    _, first = np.unique(queries, return_index=True)  # of each query its best category
    order = first[np.argsort(-(scores * quality)[first], kind="stable")]
    scale = np.array([picture.width, picture.height] * 2)
    return [
        {
            "category_id": int(labels[i]),
            "category": facts["categories"][str(labels[i])],
            "class_score": float(scores[i]),
            "quality": float(quality[i]),
            "box_xyxy": (boxes[i] * scale).tolist(),
            "mask": paste(masks[i], frames[i] * scale, picture.size) > facts["threshold"],
        }
        for i in order
        if scores[i] >= min_score
    ]


def pixels(picture: Image.Image, how: dict[str, Any]) -> np.ndarray:
    """The picture as the detector's input, (3, height, width)."""
    (short, long), limit = sorted(picture.size), how["longer_side"]
    target, step = how["shorter_side"], how["multiple_of"]
    if long / short * target > limit:
        target = max(1, round(limit * short / long))
    other = long if target == short else int(target * long / short)
    other = min(other, limit) if target == 1 else other
    target, other = (max(step, side - side % step) for side in (target, other))
    upright = picture.height > picture.width
    height, width = how["size_hw"] or ((other, target) if upright else (target, other))
    resized = picture.resize((width, height), Image.Resampling.BILINEAR)
    normal = np.asarray(resized, np.float32) / 255 - np.float32(how["mean"])
    return (normal / np.float32(how["std"])).transpose(2, 0, 1)


def paste(cells: np.ndarray, frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The cells of a frame read bilinearly at the centre of each pixel; 0 outside of it."""
    scale = np.array(cells.shape[::-1]) / (frame[2:] - frame[:2])
    extent = [*(-frame[:2] * scale), *((np.array(size) - frame[:2]) * scale)]
    how = Image.Transform.EXTENT, extent, Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(cells).transform(size, *how))


def main() -> None:
    model = Path(__file__).with_name("model.onnx")
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    for name in sys.argv[1:]:
        picture = ImageOps.exif_transpose(Image.open(name)).convert("RGB")
        drawn = np.array(picture)
        for number, instance in enumerate(find(session, picture)):
            mask = instance.pop("mask")
            colour = np.random.default_rng(number).integers(64, 256, 3)
            drawn[mask] = (drawn[mask] * 0.5 + colour * 0.5).astype(np.uint8)
            print(json.dumps({"picture": name, **instance, "pixels": int(mask.sum())}))
        Image.fromarray(drawn).save(f"{name}.masks.png")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main()
