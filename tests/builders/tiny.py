"""A detector small enough for tests, loadable as `tiny.py:detector`, and images for it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from mfd.coco import Annotations, CocoDataset, ImageEntry
from mfd.detectors.contract import DetectorOutput
from mfd.detectors.spec import DetectorSpec
from mfd.images.preprocessing import Preprocessing

SIZES_HW = ((48, 64), (64, 48), (37, 53), (51, 90), (48, 64), (70, 33))


def detector(weights: str | None = None, encoder_layer: int | None = None) -> "TinyDetector":
    """A detector with fixed random weights; `weights` is the seed they are drawn from."""
    torch.manual_seed(int(weights or 0))
    return TinyDetector(encoder_layer or 0)


def detector_without_c1(weights: str | None = None) -> "TinyDetector":
    """The same with a patch embedding of stride 7 for a stem: maps at strides 14 and 28, no C1."""
    tiny = detector(weights)
    tiny.stem = nn.Conv2d(3, 6, 7, stride=7)
    tiny.spec = replace(tiny.spec, name="tiny-vit", strides=(14, 28), c1_channels=0)
    return tiny


class TinyDetector(nn.Module):
    """Strided convolutions for maps, and queries that pool them: every output depends on all."""

    def __init__(self, encoder_layer: int = 0) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 7, stride=4, padding=3)
        self.levels = nn.ModuleList(
            [nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.Conv2d(8, 8, 3, stride=2, padding=1)]
        )
        self.queries = nn.Parameter(torch.randn(5, 8))
        self.boxes = nn.Linear(8, 4)
        self.classes = nn.Linear(8, 3)
        self.spec = DetectorSpec(
            name="tiny",
            dim=8,
            strides=(8, 16),
            num_queries=5,
            category_ids=(1, 3, 90),
            c1_channels=6,
            weights_digest="",
            preprocessing=Preprocessing(shorter_side=40, longer_side=64),
            encoder_layer=encoder_layer,
        )

    def forward(self, images: Tensor, padding_mask: Tensor) -> DetectorOutput:
        c1 = self.stem(images)
        fine = self.levels[0](c1.relu())
        coarse = self.levels[1](fine.relu())
        queries = self.queries + fine.mean((2, 3))[:, None] + coarse.amax((2, 3))[:, None]
        return DetectorOutput(
            queries=queries,
            boxes=self.boxes(queries).sigmoid(),
            logits=self.classes(queries),
            memory=[fine.permute(0, 2, 3, 1), coarse.permute(0, 2, 3, 1)],
            c1=c1.permute(0, 2, 3, 1) if self.spec.has_c1 else None,
        )

    def stage1(self, images: Tensor, padding_mask: Tensor) -> Tensor:
        return self.stem(images).permute(0, 2, 3, 1)


def make_dataset(folder: Path, count: int) -> CocoDataset:
    """`count` noisy pictures of several sizes in a folder, ids with gaps, without annotations."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for i in range(count):
        size_hw = SIZES_HW[i % len(SIZES_HW)]
        pixels = np.random.default_rng(i).integers(0, 256, (*size_hw, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        entries.append(ImageEntry(3 * i + 2, f"{i}.png", size_hw))
    return CocoDataset(None, folder, tuple(entries), {1: "a", 3: "b", 90: "c"}, Annotations.of())
