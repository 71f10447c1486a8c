"""What the kernels must compute, written as slowly and literally as their definitions."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def deform_attn_loops(value: Tensor, shapes: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
    """Deformable attention, one corner of one point at a time."""
    batch, queries, heads, levels, points, _ = locations.shape
    out = value.new_zeros(batch, queries, heads, value.shape[3])
    where = locations.tolist()
    for b, q, m, level, p in torch.cartesian_prod(
        *(torch.arange(n) for n in (batch, queries, heads, levels, points))
    ).tolist():
        height, width = shapes[level].tolist()
        start = int(shapes[:level].prod(1).sum())
        x = where[b][q][m][level][p][0] * width - 0.5
        y = where[b][q][m][level][p][1] * height - 0.5
        for column in (math.floor(x), math.floor(x) + 1):
            for row in (math.floor(y), math.floor(y) + 1):
                if 0 <= column < width and 0 <= row < height:
                    share = (1 - abs(x - column)) * (1 - abs(y - row))
                    pixel = value[b, start + row * width + column, m]
                    out[b, q, m] += weights[b, q, m, level, p] * share * pixel
    return out


def deform_attn_grid_sample(
    value: Tensor, shapes: Tensor, locations: Tensor, weights: Tensor
) -> Tensor:
    """Deformable attention from PyTorch's own sampling and its gradients."""
    batch, _, heads = locations.shape[:3]
    samples = []
    maps = value.split(shapes.prod(1).tolist(), 1)
    for level, (height, width) in enumerate(shapes.tolist()):
        image = maps[level].permute(0, 2, 3, 1).reshape(batch * heads, -1, height, width)
        grid = 2 * locations[:, :, :, level].transpose(1, 2).flatten(0, 1) - 1
        samples.append(functional.grid_sample(image, grid, align_corners=False))
    stacked = torch.stack(samples, -2).unflatten(0, (batch, heads))  # (B, M, D, Q, L, P)
    return torch.einsum("bmdqlp,bqmlp->bqmd", stacked, weights)


def roi_align_loops(
    features: Tensor,
    boxes: Tensor,
    image_index: Tensor,
    cells: int | tuple[int, int],
    sizes_hw: Tensor,
    sampling_ratio: int = 2,
    aligned: bool = True,
) -> Tensor:
    """RoIAlign, one sample at a time, with the border rules of its CUDA implementations."""
    down, across = (cells, cells) if isinstance(cells, int) else cells
    out = features.new_zeros(len(boxes), down, across, features.shape[3])
    for n, box in enumerate(boxes.tolist()):
        if not all(map(math.isfinite, box)):
            continue
        image = features[image_index[n]]
        height, width = sizes_hw[image_index[n]].tolist()
        columns = axis_samples(box[0], box[2], width, across, sampling_ratio, aligned)
        rows = axis_samples(box[1], box[3], height, down, sampling_ratio, aligned)
        for i in range(down):
            for j in range(across):
                for y, y_share in rows(i):
                    for x, x_share in columns(j):
                        out[n, i, j] += y_share * x_share * bilinear(image, y, x, height, width)
    return out


def axis_samples(
    low: float, high: float, size: int, cells: int, ratio: int, aligned: bool
) -> Callable[[int], list[tuple[float, float]]]:
    """For a cell, where its samples lie along an axis inside the map, and the share of each."""
    low, high = (low - 0.5, high - 0.5) if aligned else (low, high)
    length = high - low if aligned else max(high - low, 1.0)
    count = ratio if ratio > 0 else math.ceil(length / cells)

    def samples(cell: int) -> list[tuple[float, float]]:
        places = [low + (cell + (k + 0.5) / count) * length / cells for k in range(count)]
        return [(min(max(at, 0), size - 1), 1 / count) for at in places if -1 <= at <= size]

    return samples


def bilinear(image: Tensor, y: float, x: float, height: int, width: int) -> Tensor:
    """The map at (y, x), which lie inside it; 0 is the centre of the first pixel."""
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = image[top, left] * (1 - (x - left)) + image[top, right] * (x - left)
    lower = image[bottom, left] * (1 - (x - left)) + image[bottom, right] * (x - left)
    return upper * (1 - (y - top)) + lower * (y - top)


def assert_as_exact_as_pytorch(ours: Tensor, pytorch: Tensor, exact: Tensor) -> None:
    """No further from the exact result than twice PyTorch in the same type, plus one rounding."""
    assert ours.shape == exact.shape
    assert ours.dtype == pytorch.dtype
    if not exact.numel():
        return
    one_rounding = torch.finfo(ours.dtype).eps * exact.abs().max()
    allowed = 2 * (pytorch.double() - exact).abs().max() + one_rounding
    error = (ours.double() - exact).abs().max()  # NaN fails: it is not <= anything
    assert error <= allowed, f"error {error:.1e} exceeds {allowed:.1e}"
