"""The padding around images in a batch, and which part of a map lies on it."""

import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float
from torch import Tensor

from mfd.detectors.spec import DetectorSpec

_MAX_STEP = 32


def padding_step(spec: DetectorSpec) -> int:
    """What heights and widths of batches are multiples of.

    The coarsest stride of the maps up to 32, so that as little as possible is padded and maps end
    where the image does; 1, for no padding, where all inputs have one size.
    """
    if spec.preprocessing.size_hw is not None:
        return 1
    return max((stride for stride in spec.strides if stride <= _MAX_STEP), default=_MAX_STEP)


def valid_sizes(
    padding_mask: Bool[Tensor, "B H W"], level: Float[Tensor, "B _h _w _d"]
) -> list[tuple[int, int]]:
    """Rows and columns of the map that belong to each image, counted as Deformable DETR does.

    An entry belongs to the image if the input pixel at floor(i * in / out) does: the mask resized
    by "nearest". Padding lies at the right and bottom only.
    """
    rows, columns = (~padding_mask[:, None, :, 0]).float(), (~padding_mask[:, None, 0, :]).float()
    heights = F.interpolate(rows, size=level.shape[1], mode="nearest").sum((1, 2))
    widths = F.interpolate(columns, size=level.shape[2], mode="nearest").sum((1, 2))
    return [(int(h), int(w)) for h, w in zip(heights, widths, strict=True)]
