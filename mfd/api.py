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
from mfd.headtrain import MaskHead, Prediction, Run, check_binding, predict
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
        check_binding(head.spec, detector.spec)
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
            detector: a module on `device`, or as in `mfd.toml`; None: the one the head was trained
                with, found where it was then.
            weights: the detector's checkpoint; None: where it was when the head was trained.

        Raises:
            ConfigError: the folder holds no finished head.
            DetectorError: there is no such detector, or the head was trained for another one.
        """
        run = Run.open(folder)
        head, made_by = run.load_head(device), run.config.detector
        if detector is None:
            weights = made_by.weights if weights is None else weights
            detector = load_detector(made_by.name, weights, made_by.encoder_layer, device)
        elif isinstance(detector, str):
            detector = load_detector(detector, weights, made_by.encoder_layer, device)
        return cls(detector, head, run.config.categories)

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
            self.head, features, self.categories, min_score=min_score, device=self.device
        )
