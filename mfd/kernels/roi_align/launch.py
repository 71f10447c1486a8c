"""Launches the Triton kernels of RoIAlign. Arguments are those of the operators in `op`."""

import torch
import triton
from torch import Tensor

from mfd.errors import KernelError
from mfd.kernels.roi_align import triton as kernels
from mfd.kernels.roi_align.triton_tables import layout_kernel, taps_kernel
from mfd.kernels.sums import accumulator, sum_dtype

MAX_ELEMENTS = 2**31  # of one map; offsets inside it are 32 bits wide
CHANNELS = 64  # per program
PIXELS = 32  # of a row of the map per backward program
LINES = 64  # of a map's side per program that lays out the tables


def taps(
    boxes: Tensor,
    image: Tensor,
    fine_hw: Tensor,
    coarse_hw: Tensor | None,
    cells: int,
    samples: int,
    aligned: bool,
) -> tuple[Tensor, Tensor]:
    """Pixels and weights (2, N, s, T) of both axes, merged."""
    exact, count = sum_dtype(boxes.dtype), len(boxes)
    width = samples * (2 if coarse_hw is None else 4)
    pixel = torch.empty(2, count, cells, width, dtype=torch.int32, device=boxes.device)
    weight = torch.empty(2, count, cells, width, dtype=exact, device=boxes.device)
    if count and cells:
        fine_hw = fine_hw.contiguous()
        with torch.cuda.device_of(boxes):
            taps_kernel[(2 * count,)](
                boxes.contiguous(), image.contiguous(), fine_hw,
                fine_hw if coarse_hw is None else coarse_hw.contiguous(),
                pixel, weight, count, cells,
                T=width, SAMPLES=samples, BLOCK_S=triton.next_power_of_2(cells),
                BLOCK_T=triton.next_power_of_2(width), ALIGNED=aligned, UP=coarse_hw is not None,
                ACC=accumulator(exact), num_warps=4,
            )  # fmt: skip
    return pixel, weight


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
            y.int().contiguous(), y_weight.contiguous(),
            x.int().contiguous(), x_weight.contiguous(),
            image.contiguous(),
            out if add is None else add.contiguous(),
            out,
            height, width, channels, cells, y.shape[2], x.shape[2],
            BLOCK_X=triton.next_power_of_2(cells), BLOCK_C=block_c,
            BLOCK_TY=triton.next_power_of_2(y.shape[2]),
            BLOCK_TX=triton.next_power_of_2(x.shape[2]),
            ADD=add is not None, ACC=accumulator(features.dtype), num_warps=4,
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
    tables = _laid_out(y, y_weight, x, x_weight, image, batch, height, width, sum_dtype(grad.dtype))
    block_c = min(CHANNELS, max(16, triton.next_power_of_2(channels)))
    blocks = triton.cdiv(width, PIXELS) * triton.cdiv(channels, block_c)
    with torch.cuda.device_of(grad):
        kernels.backward_kernel[(batch * height * blocks,)](
            grad.contiguous(),
            *tables,
            out,
            len(grad), height, width, channels, cells,
            BLOCK_X=PIXELS, BLOCK_S=max(16, triton.next_power_of_2(cells)), BLOCK_C=block_c,
            PRECISION="tf32" if grad.element_size() == 2 else "ieee",
            ACC=accumulator(grad.dtype), num_warps=4,
        )  # fmt: skip
    return out


def _laid_out(
    y: Tensor,
    y_weight: Tensor,
    x: Tensor,
    x_weight: Tensor,
    image: Tensor,
    batch: int,
    height: int,
    width: int,
    exact: torch.dtype,
) -> tuple[Tensor, ...]:
    """Matrices of both tables, what reads each line of pixels, and the boxes by image."""
    boxes, cells, _ = y.shape

    def whole(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=torch.int32, device=y.device)

    tables = (
        torch.empty(boxes, height, cells, dtype=exact, device=y.device),
        torch.empty(boxes, width, cells, dtype=exact, device=y.device),
        whole(boxes, height), whole(boxes, height), whole(2, boxes), whole(boxes), whole(batch + 1),
    )  # fmt: skip
    blocks = triton.cdiv(max(height, width), LINES)
    with torch.cuda.device_of(y):
        layout_kernel[(2 * boxes * blocks,)](
            y.int().contiguous(), y_weight.contiguous(), x.int().contiguous(),
            x_weight.contiguous(), image.contiguous(), *tables,
            boxes, batch, height, width, cells, y.shape[2], x.shape[2],
            BLOCK_N=triton.next_power_of_2(boxes), BLOCK_L=LINES,
            BLOCK_S=triton.next_power_of_2(cells), ACC=accumulator(exact), num_warps=4,
        )  # fmt: skip
    return tables
