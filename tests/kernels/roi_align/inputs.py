"""Maps and awkward boxes for RoIAlign."""

import torch
from torch import Tensor

from tests.kernels.oracle import DEVICE

SIZES = torch.tensor([(7, 9), (5, 6)])  # the second map is padded
BOXES = [
    (1.0, 1.0, 6.0, 5.0),
    (-2.0, -3.0, 12.0, 9.0),  # leaves the map on all sides
    (3.0, 3.0, 3.0, 3.0),  # no area
    (5.0, 5.0, 2.0, 1.0),  # negative size
    (20.0, 20.0, 30.0, 30.0),  # outside
    (2.2, 1.1, 2.4, 1.2),  # tiny
    (0.0, 0.0, 9.0, 7.0),
]
IMAGES = [0, 1, 0, 1, 0, 1, 1]


def make_inputs(dtype: torch.dtype = torch.float64, channels: int = 5) -> tuple[Tensor, ...]:
    """Features, boxes and the image of each, not sorted by image."""
    features = torch.randn(2, 7, 9, channels, dtype=dtype).to(DEVICE).requires_grad_()
    boxes = torch.tensor(BOXES, dtype=torch.float64 if dtype == torch.float64 else torch.float32)
    return features, boxes.to(DEVICE), torch.tensor(IMAGES, device=DEVICE)
