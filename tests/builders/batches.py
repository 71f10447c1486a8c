"""Small made-up features of odd sizes, and what tests of every block compare."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mfd.detectors.image_features import ImageFeatures
from mfd.detectors.spec import DetectorSpec
from mfd.headtrain.head.batch import FeatureBatch, collate

SIZES = [(101, 131), (140, 77), (67, 150)]
"""Heights and widths of three images, pixels; the strides divide none of them."""

CLASSES = 5


def toy_spec(
    dim: int = 64, strides: tuple[int, ...] = (8, 16, 32), c1_channels: int = 12
) -> DetectorSpec:
    """A detector of small widths."""
    return DetectorSpec("toy", dim, strides, 9, tuple(range(1, CLASSES + 1)), c1_channels, "0")


def toy_image(spec: DetectorSpec, input_hw: tuple[int, int]) -> ImageFeatures:
    """Random features of one image; boxes lie inside it or leave it a little."""

    def size(stride: int) -> tuple[int, int]:
        return -(-input_hw[0] // stride), -(-input_hw[1] // stride)

    return ImageFeatures(
        image_id=1,
        original_hw=input_hw,
        input_hw=input_hw,
        queries=torch.randn(spec.num_queries, spec.dim),
        boxes=torch.cat(
            [torch.rand(spec.num_queries, 2), 0.05 + 0.6 * torch.rand(spec.num_queries, 2)], 1
        ),
        logits=torch.randn(spec.num_queries, spec.num_logits),
        memory=[torch.randn(*size(stride), spec.dim) for stride in spec.strides],
        c1=torch.randn(*size(spec.c1_stride), spec.c1_channels) if spec.has_c1 else None,
    )


def toy_batches(spec: DetectorSpec) -> tuple[FeatureBatch, list[FeatureBatch]]:
    """Three images with 3, 0 and 4 boxes as one batch, and each as a batch of its own."""
    images = [toy_image(spec, size) for size in SIZES]
    queries = [torch.tensor([3, 0, 5]), torch.tensor([], dtype=torch.long), torch.arange(2, 6)]
    labels = [torch.randint(CLASSES, (len(chosen),)) for chosen in queries]
    alone = [collate([i], [q], [n]) for i, q, n in zip(images, queries, labels, strict=True)]
    return collate(images, queries, labels), alone


def poison_padding(batch: FeatureBatch) -> FeatureBatch:
    """The batch with NaN wherever its maps are padded, in place."""
    for level, maps in enumerate(batch.memory):
        for row, (height, width) in zip(maps, batch.memory_hw[:, level].tolist(), strict=True):
            row[height:], row[:, width:] = torch.nan, torch.nan
    if batch.c1 is not None:
        for row, (height, width) in zip(batch.c1, batch.c1_hw.tolist(), strict=True):
            row[height:], row[:, width:] = torch.nan, torch.nan
    return batch


def randomise(module: nn.Module, size: float = 0.1) -> nn.Module:
    """The module with noise on every parameter, so that none is zero or one by initialisation."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * size)
    return module


def error(found: Float[Tensor, "*any"], expected: Float[Tensor, "*any"]) -> float:
    """The largest difference, in units of the largest expected value; NaN is no small error."""
    assert found.shape == expected.shape
    if not expected.numel():
        return 0.0
    return float(((found - expected).abs().max() / expected.abs().max()).detach())
