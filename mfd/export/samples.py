"""Arguments of exported modules: random ones to trace them, and those that a picture gives.

Each call has two images, for a program that is traced on one would take no more. The second is the
first one's mirror image.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from mfd.detectors import DetectorSpec, ImageFeatures, padding_step
from mfd.headtrain import collate_candidates, select_detections
from mfd.images import LoadedImage

SIZE_HW = (150, 203)
"""Of random images, pixels, before what the detector demands."""

QUERIES = 7


def head_arguments(
    features: ImageFeatures, spec: DetectorSpec, *, with_c1: bool
) -> tuple[Any, ...]:
    """What the head reads of the detections that an evaluation keeps of an image."""
    chosen = select_detections(features, spec, spec.max_detections)
    batch = collate_candidates([features], [chosen]).to("cpu")
    mirrored = batch.boxes.clone()
    mirrored[:, 0] = 1 - mirrored[:, 0]
    arguments = (
        torch.stack([batch.queries, batch.queries]),
        torch.stack([batch.boxes, mirrored]),
        batch.input_hw[0],
        [torch.cat([level, level.flip(2)]) for level in batch.memory],
    )
    if not with_c1:
        return arguments
    assert batch.c1 is not None
    return (*arguments, torch.cat([batch.c1, batch.c1.flip(2)]))


def image_arguments(image: LoadedImage, spec: DetectorSpec, least: int) -> tuple[Tensor, Tensor]:
    """An image, padded, and its size before.

    Args:
        least: height and width that the program takes.
    """
    pixels = image.pixels[None]
    return _padded(torch.cat([pixels, pixels.flip(3)]), padding_step(spec), least)


def random_features(spec: DetectorSpec, *, with_c1: bool) -> tuple[Any, ...]:
    """Normal features, and boxes of which some reach out of the image."""
    random = torch.Generator().manual_seed(0)
    height, width = SIZE_HW

    def some_map(stride: int, channels: int) -> Tensor:
        return torch.randn(2, -(-height // stride), -(-width // stride), channels, generator=random)

    boxes = torch.rand(2, QUERIES, 4, generator=random)
    boxes[..., 2:] = 0.05 + 0.6 * boxes[..., 2:]
    features = (
        torch.randn(2, QUERIES, spec.dim, generator=random),
        boxes,
        torch.tensor(SIZE_HW),
        [some_map(stride, spec.dim) for stride in spec.strides],
    )
    return (*features, some_map(spec.c1_stride, spec.c1_channels)) if with_c1 else features


def random_images(spec: DetectorSpec, least: int) -> tuple[Tensor, Tensor]:
    """Coarse noise, padded, and its size before; `least` as for `image_arguments`."""
    coarse = torch.randn(2, 3, 7, 5, generator=torch.Generator().manual_seed(0))
    size_hw = spec.preprocessing.size_hw or tuple(max(side, least) for side in SIZE_HW)
    return _padded(interpolate(coarse, size_hw, mode="bicubic"), padding_step(spec), least)


def _padded(pixels: Tensor, step: int, least: int) -> tuple[Tensor, Tensor]:
    height, width = pixels.shape[2:]
    below, beside = (-(-max(side, least) // step) * step - side for side in (height, width))
    return pad(pixels, (0, beside, 0, below)), torch.tensor([height, width])
