"""The Python interface: a frozen detector and its mask head as one function of an image.

model = MaskFrozenDETR.from_pretrained("runs/paper-1", "hdetr-r50", "r50.pth")
for instance in model("street.jpg"):
    print(instance.category, instance.score, instance.box_xyxy, instance.pixels().sum())
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from mfd.detectors import detect, load_detector
from mfd.headtrain import MaskHead, Prediction, category_names, check_detector, load_head, predict
from mfd.images import prepare_image, read_rgb


class MaskFrozenDETR:
    """Instances of an image, by a detector and a head that was trained on its features.

    Args:
        detector: frozen, as `mfd.extract.load_detector` returns it.
        head: in evaluation mode, on the detector's device.
        categories: name of each category id.

    Raises:
        DetectorError: the head was trained for another detector.
    """

    def __init__(self, detector: Any, head: MaskHead, categories: Mapping[int, str]) -> None:
        check_detector(head.spec, detector.spec)
        self.detector, self.head, self.categories = detector, head, categories
        self.device = next(head.parameters(), torch.empty(0)).device

    @classmethod
    def from_pretrained(
        cls,
        folder: Path | str,
        detector: Any = None,
        weights: Path | str | None = None,
        device: torch.device | str = "cpu",
    ) -> "MaskFrozenDETR":
        """The head of a run or head folder, with its detector.

        Args:
            detector: a module on `device`, or as in `mfd.toml`; None is the name the head was
                trained with, which is enough for those of `mfd` and of Transformers.
            weights: the checkpoint of a detector that is given by its name.

        Raises:
            ConfigError: the folder holds no finished head.
            DetectorError: there is no such detector, or the head was trained for another one.
        """
        folder = Path(folder)
        head = load_head(folder, device)
        if detector is None or isinstance(detector, str):
            detector = load_detector(detector or head.spec.name, weights, device=device)
        return cls(detector, head, category_names(folder))

    def __call__(
        self, image: Path | str | Image.Image | UInt8[np.ndarray, "H W 3"], min_score: float = 0.4
    ) -> list[Prediction]:
        """The instances with a mask score of at least `min_score`, the best first.

        Args:
            image: a file, a PIL image or RGB pixels.

        Raises:
            DataError: the file cannot be read.
        """
        if isinstance(image, Path | str):
            image = read_rgb(Path(image))
        elif isinstance(image, np.ndarray):
            image = Image.fromarray(image)
        loaded = prepare_image(image.convert("RGB"), self.detector.spec.preprocessing)
        (features,) = detect(self.detector, [loaded], [0])
        return predict(
            self.head, features.cpu(), self.categories, min_score=min_score, device=self.device
        )
