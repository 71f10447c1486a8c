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
    names = [output.name for output in session.get_outputs()]
    image = pixels(picture, facts["preprocessing"])
    padding = [(0, -side % facts["padding_step"]) for side in image.shape[2:]]
    inputs = {
        "images": np.pad(image, [(0, 0), (0, 0), *padding]),
        "image_hw": np.array(image.shape[2:], np.int64),
    }
    values = session.run(None, inputs)
    found = {name: value[0] for name, value in zip(names, values)}
    scale = np.array([picture.width, picture.height] * 2)
    _, first = np.unique(found["queries"], return_index=True)  # of each query its best category
    return [
        {
            "category_id": int(found["labels"][i]),
            "category": facts["categories"][str(found["labels"][i])],
            "class_score": float(found["scores"][i]),
            "quality": float(found["quality"][i]),
            "box_xyxy": (found["boxes"][i] * scale).tolist(),
            "mask": paste(found["masks"][i], found["frames"][i] * scale, picture.size)
            > facts["threshold"],
        }
        for i in first[np.argsort(-(found["scores"] * found["quality"])[first], kind="stable")]
        if found["scores"][i] >= min_score
    ]


def pixels(picture: Image.Image, how: dict[str, Any]) -> np.ndarray:
    """The picture as the detector's input, (1, 3, height, width)."""
    size_hw = how["size_hw"]
    if size_hw is None:
        short, long = sorted(picture.size)
        target, limit = how["shorter_side"], how["longer_side"]
        if long / short * target > limit:
            target = max(1, round(limit * short / long))
        other = long if target == short else int(target * long / short)
        other = min(other, limit) if target == 1 else other
        size_hw = (target, other) if picture.height <= picture.width else (other, target)
    resized = picture.resize((size_hw[1], size_hw[0]), Image.Resampling.BILINEAR)
    normal = (np.asarray(resized, np.float32) / 255 - np.float32(how["mean"])) / np.float32(
        how["std"]
    )
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None])


def paste(cells: np.ndarray, frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The cells of a frame read bilinearly at the centre of each pixel in it; -inf elsewhere."""
    at = []
    for low, high, length, count in zip(frame[:2], frame[2:], size, cells.shape[::-1]):
        inside = np.arange(max(np.ceil(low - 0.5), 0), min(np.ceil(high - 0.5), length)).astype(int)
        where = ((inside + 0.5 - low) / (high - low) * count - 0.5).clip(0, count - 1)
        near = where.astype(int)
        at.append((inside, near, np.minimum(near + 1, count - 1), (where - near).astype("f4")))
    (xs, left, right, in_x), (ys, upper, lower, in_y) = at
    wide = cells[:, left] + (cells[:, right] - cells[:, left]) * in_x
    whole = np.full(size[::-1], -np.inf, np.float32)
    whole[np.ix_(ys, xs)] = wide[upper] + (wide[lower] - wide[upper]) * in_y[:, None]
    return whole


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
