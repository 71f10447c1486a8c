"""Images of different sizes in batches: which go together, and the padding around them."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

MAX_PADDING = 0.2
"""Largest share of a batch that may be padding."""


def collate_images(
    images: Sequence[Float[Tensor, "3 _h _w"]],
) -> tuple[Float[Tensor, "B 3 H W"], Bool[Tensor, "B H W"]]:
    """The images in one tensor, zeros at the right and bottom, and the mask: True on padding."""
    height, width = (max(image.shape[axis] for image in images) for axis in (1, 2))
    batch = torch.zeros(len(images), 3, height, width)
    padding_mask = torch.ones(len(images), height, width, dtype=torch.bool)
    for image, row, mask in zip(images, batch, padding_mask, strict=True):
        row[:, : image.shape[1], : image.shape[2]] = image
        mask[: image.shape[1], : image.shape[2]] = False
    return batch, padding_mask


def similar_sizes(sizes_hw: Sequence[tuple[int, int]], batch_size: int) -> list[list[int]]:
    """Indices of the images in batches of at most `batch_size`, so that little is padding.

    Images are sorted by shape, wide ones first; a batch ends where the next image would leave
    more than a fifth of it padding. The result depends on the sizes alone, so a repeated
    extraction computes the same batches.
    """
    batches: list[list[int]] = []
    for i in sorted(range(len(sizes_hw)), key=lambda i: (sizes_hw[i][0] / sizes_hw[i][1], i)):
        if batches and len(batches[-1]) < batch_size:
            joined = [sizes_hw[j] for j in (*batches[-1], i)]
            if _padded_share(joined) <= MAX_PADDING:
                batches[-1].append(i)
                continue
        batches.append([i])
    return batches


def _padded_share(sizes_hw: Sequence[tuple[int, int]]) -> float:
    """How much of a batch of these sizes is padding."""
    heights, widths = zip(*sizes_hw, strict=True)
    used = sum(height * width for height, width in sizes_hw)
    return 1 - used / (len(sizes_hw) * max(heights) * max(widths))
