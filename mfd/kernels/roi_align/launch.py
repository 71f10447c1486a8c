"""Launches the Triton kernels of RoIAlign. Arguments are those of the operators in `op`."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from mfd.errors import KernelError
from mfd.kernels.roi_align import triton as kernels
from mfd.kernels.roi_align.reference import dense_taps

MAX_ELEMENTS = 2**31  # of one map; offsets inside it are 32 bits wide
CHANNELS = 64  # per program
PIXELS = 32  # of a row of the map per backward program


def forward(
    features: Tensor,
    y: Tensor,
    y_weight: Tensor,
    x: Tensor,
    x_weight: Tensor,
    image: Tensor,
    add: Tensor | None,
) -> Tensor:
    """The cells (N, s, s, C), of the map's type."""
    _, height, width, channels = features.shape
    boxes, cells, _ = y.shape
    out = features.new_empty(boxes, cells, cells, channels)
    if height * width * channels >= MAX_ELEMENTS:
        raise KernelError(
            f"a map has {height * width * channels} elements, the kernels take fewer than "
            f"{MAX_ELEMENTS}; use smaller images"
        )
    if not out.numel() or not features.numel():
        return out.zero_()
    block_c = min(CHANNELS, triton.next_power_of_2(channels))
    with torch.cuda.device_of(features):
        kernels.forward_kernel[(boxes * cells * triton.cdiv(channels, block_c),)](
            features.contiguous(),
            y.int().contiguous(), y_weight.contiguous(), _used_taps(y_weight),
            x.int().contiguous(), x_weight.contiguous(), _used_taps(x_weight),
            image,
            out if add is None else add.contiguous(),
            out,
            height, width, channels, cells, y.shape[2], x.shape[2],
            BLOCK_X=triton.next_power_of_2(cells), BLOCK_C=block_c, ADD=add is not None,
            ACC=_accumulator(features), num_warps=4,
        )  # fmt: skip
    return out


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
    """The gradient of the map (B, H, W, C), of grad's type."""
    _, cells, _, channels = grad.shape
    out = grad.new_empty(batch, height, width, channels)
    if not out.numel() or not grad.numel():
        return out.zero_()
    exact = torch.float64 if grad.dtype == torch.float64 else torch.float32
    rows = dense_taps(y, y_weight.to(exact), height)
    columns = dense_taps(x, x_weight.to(exact), width)
    first, last = _span(rows)  # (N, H)
    left, right = _span(columns.amax(2)[:, None])  # (N, 1)
    order = image.argsort(stable=True)
    starts = torch.searchsorted(image[order], torch.arange(batch + 1, device=image.device))
    block_c = min(CHANNELS, max(16, triton.next_power_of_2(channels)))
    blocks = triton.cdiv(width, PIXELS) * triton.cdiv(channels, block_c)
    with torch.cuda.device_of(grad):
        kernels.backward_kernel[(batch * height * blocks,)](
            grad.contiguous(),
            rows, columns, first, last, left, right, order, starts.int(),
            out,
            height, width, channels, cells,
            BLOCK_X=PIXELS, BLOCK_S=max(16, triton.next_power_of_2(cells)), BLOCK_C=block_c,
            PRECISION="tf32" if grad.element_size() == 2 else "ieee",
            ACC=_accumulator(grad), num_warps=4,
        )  # fmt: skip
    return out


def _used_taps(weight: Tensor) -> Tensor:
    """(N,) taps to read: up to the last with a weight in any cell of the box."""
    number = torch.arange(1, weight.shape[2] + 1, device=weight.device, dtype=torch.int32)
    return ((weight != 0) * number).amax((1, 2))


def _span(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Along the last axis, the first entry that is not zero and the one after the last."""
    number = torch.arange(weights.shape[-1], device=weights.device, dtype=torch.int32)
    used = weights != 0
    first = torch.where(used, number, weights.shape[-1]).amin(-1)
    last = torch.where(used, number + 1, 0).amax(-1)
    return first, last


def _accumulator(tensor: Tensor) -> tl.dtype:
    return tl.float64 if tensor.dtype == torch.float64 else tl.float32
