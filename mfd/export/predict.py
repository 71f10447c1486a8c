"""Masks of pictures by model.onnx in this folder: python predict.py PICTURE [PICTURE ...]

Prints each instance as a line of JSON, and draws the masks into PICTURE.masks.png. Needs
onnxruntime and numpy; Pillow reads and writes the pictures.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

MIN_SCORE = np.array([0.4], np.float32)  # of the class, as the detector gives it


def main() -> None:
    model = str(Path(__file__).with_name("model.onnx"))
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = json.loads(session.get_modelmeta().custom_metadata_map["mfd"])["categories"]
    colours = np.random.default_rng(0).integers(64, 256, (1000, 3))
    for path in sys.argv[1:]:
        image = np.array(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
        found = session.run(None, {"image": image, "min_score": MIN_SCORE})
        for category, score, quality, box, mask, colour in zip(*found, colours):  # best first
            instance = {
                "picture": path,
                "category": names[str(category)],
                "class_score": float(score),
                "quality": float(quality),
                "box_xyxy": box.tolist(),
                "pixels": int(mask.sum()),
            }
            print(json.dumps(instance))
            image[mask] = image[mask] // 2 + colour // 2
        Image.fromarray(image).save(f"{path}.masks.png")


if __name__ == "__main__":
    main() if sys.argv[1:] else sys.exit(__doc__)
