"""Images of different sizes in batches: which go together, and the padding around them."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def padded_size(size_hw: tuple[int, int], step: int) -> tuple[int, int]:
    """Height and width of every batch that an image is in: the next multiples of `step`.

    Padding moves the edges of maps, and detectors look over edges; so an image must not be padded
    as its neighbours happen to need it.
    """
    return -(-size_hw[0] // step) * step, -(-size_hw[1] // step) * step


def collate_images(
    images: Sequence[Float[Tensor, "3 _h _w"]], step: int = 1
) -> tuple[Float[Tensor, "B 3 H W"], Bool[Tensor, "B H W"]]:
    """The images in one tensor, zeros at the right and bottom, and the mask: True on padding.

    Args:
        step: height and width are multiples of it.
    """
    sizes = [padded_size((image.shape[1], image.shape[2]), step) for image in images]
    height, width = map(max, zip(*sizes, strict=True))
    batch = torch.zeros(len(images), 3, height, width)
    padding_mask = torch.ones(len(images), height, width, dtype=torch.bool)
    for image, row, mask in zip(images, batch, padding_mask, strict=True):
        # numpy: torch would start a pool of threads in every reading thread
        row.numpy()[:, : image.shape[1], : image.shape[2]] = image.numpy()
        mask[: image.shape[1], : image.shape[2]] = False
    return batch, padding_mask


def equal_sizes(sizes_hw: Sequence[tuple[int, int]], batch_size: int) -> list[list[int]]:
    """Indices of the images in batches of one size each, of at most `batch_size`.

    Images keep their order within a size; the batch with the earliest image comes first.
    """
    of_size: dict[tuple[int, int], list[int]] = {}
    for index, size in enumerate(sizes_hw):
        of_size.setdefault(size, []).append(index)
    return sorted(
        indices[start : start + batch_size]
        for indices in of_size.values()
        for start in range(0, len(indices), batch_size)
    )
