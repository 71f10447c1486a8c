"""Reading a map through tap tables in PyTorch, both directions; see `op`."""

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from mfd.kernels.sums import sum_dtype


def forward(
    features: Tensor,
    y: Tensor,
    y_weight: Tensor,
    x: Tensor,
    x_weight: Tensor,
    image: Tensor,
    add: Tensor | None,
) -> Tensor:
    """Every cell as a weighted sum of rows of C channels, which `embedding_bag` does not copy."""
    _, height, width, channels = features.shape
    boxes, cells, _ = y.shape
    if not boxes or not features.numel():
        return features.new_zeros(boxes, cells, cells, channels)
    first = (image[:, None, None] * height + y) * width  # (N, s, T)
    index = first[:, :, None, :, None] + x[:, None, :, None, :]  # (N, s, s, T, T')
    weight = y_weight[:, :, None, :, None] * x_weight[:, None, :, None, :]
    table = features.reshape(-1, channels).to(sum_dtype(features.dtype))
    out = embedding_bag(
        index.flatten(3).flatten(0, 2),
        table,
        per_sample_weights=weight.flatten(3).flatten(0, 2).to(table),
        mode="sum",
    ).view(boxes, cells, cells, channels)
    return (out if add is None else out.add_(add)).to(features.dtype)


def backward(
    grad: Tensor,
    y: Tensor,
    y_weight: Tensor,
    x: Tensor,
    x_weight: Tensor,
    image: Tensor,
    batch: int,
    height: int,
    width: int,
) -> Tensor:
    """The sum over the boxes of Ay.T @ grad @ Ax, A being the dense form of a table."""
    exact = sum_dtype(grad.dtype)
    out = grad.new_zeros(batch, height, width, grad.shape[3], dtype=exact)
    rows = dense_taps(y, y_weight.to(exact), height)  # (N, H, s)
    columns = dense_taps(x, x_weight.to(exact), width)  # (N, W, s)
    for box, index in enumerate(image.tolist()):
        top, bottom = _span(y[box], y_weight[box])
        left, right = _span(x[box], x_weight[box])
        part = torch.tensordot(rows[box, top:bottom], grad[box].to(exact), 1)  # (h, s, C)
        out[index, top:bottom, left:right] += columns[box, left:right] @ part
    return out.to(grad.dtype)


def dense_taps(pixel: Tensor, weight: Tensor, size: int) -> Tensor:
    """A table as matrices (N, size, s): what each cell reads of each pixel."""
    boxes, cells, _ = pixel.shape
    dense = weight.new_zeros(boxes, size, cells)
    return dense.scatter_add_(1, pixel.long().transpose(1, 2), weight.transpose(1, 2))


def _span(pixel: Tensor, weight: Tensor) -> tuple[int, int]:
    """First pixel that any cell of a box reads, and the one after the last."""
    read = pixel[weight != 0]
    return (int(read.min()), int(read.max()) + 1) if len(read) else (0, 0)
