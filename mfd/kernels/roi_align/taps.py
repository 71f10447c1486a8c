"""RoIAlign as 1-D tap tables: which pixels a cell reads along one axis, and with what weights.

RoIAlign is linear in the map and separable: a box and a channel give `out = Ay @ map @ Ax.T`. A
table holds the non-zero entries of Ay or Ax. Bilinear up-sampling is separable too, so RoIAlign of
an up-sampled map has tables on the map before up-sampling (`upsampling_taps`).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfd.kernels.sums import sum_dtype


class Taps(NamedTuple):
    """Along one axis, the T pixels that each of s cells of N boxes reads, and their weights."""

    pixel: Int[Tensor, "*axes N s T"]
    weight: Float[Tensor, "*axes N s T"]


def box_taps(
    boxes: Float[Tensor, "N 4"],
    image: Int[Tensor, " N"],
    fine_hw: Int[Tensor, "B 2"],
    coarse_hw: Int[Tensor, "B 2"] | None,
    cells: int,
    samples: int,
    aligned: bool = True,
) -> Taps:
    """Merged taps of every box, (2, N, s, T): vertical ones, then horizontal ones.

    Args:
        boxes: corners xyxy, in pixels of the fine map.
        image: the map each box reads.
        fine_hw: height and width of each map.
        coarse_hw: of the maps that are read, where the fine ones are up-sampled from them; None
            where the fine ones are read.
        cells: s.
        samples: see `axis_taps`.
        aligned: see `roi_align`.
    """
    fine = fine_hw.to(image.device)[image].t().flatten()  # all heights, then all widths
    x0, y0, x1, y1 = boxes.detach().unbind(-1)
    taps = axis_taps(torch.cat([y0, x0]), torch.cat([y1, x1]), fine, cells, samples, aligned)
    if coarse_hw is not None:
        coarse = coarse_hw.to(image.device)[image].t().flatten()
        taps = upsampling_taps(taps, fine, coarse)
    taps = merge_taps(taps)
    return Taps(*(t.view(2, boxes.shape[0], cells, t.shape[-1]) for t in taps))


def axis_taps(
    low: Float[Tensor, " N"],
    high: Float[Tensor, " N"],
    size: Int[Tensor, " N"],
    cells: int,
    samples: int,
    aligned: bool = True,
) -> Taps:
    """The taps of RoIAlign along one axis, T = 2 * samples per cell; not merged.

    Args:
        low: the box's nearer edge, in pixels; 0 is the outer edge of the first pixel.
        high: its farther edge.
        size: pixels along the axis of the map the box reads.
        cells: s.
        samples: per cell; 0 takes one per pixel, rounded up.
        aligned: see `roi_align`.
    """
    exact = sum_dtype(low.dtype)
    low, high = low.to(exact), high.to(exact)
    if aligned:
        low, high = low - 0.5, high - 0.5
        length = high - low
    else:
        length = (high - low).clamp(min=1)
    finite = low.isfinite() & high.isfinite()
    low, length = low.masked_fill(~finite, 0), length.masked_fill(~finite, 0)

    if samples > 0:
        count = torch.full_like(length, samples)
    else:
        count = (length / cells).ceil()
        samples = max(1, int(count.max())) if len(count) else 1
    step = torch.arange(samples, device=low.device)
    used = (step < count[:, None]) & finite[:, None]  # (N, k)
    inner = (step + 0.5) / count.clamp(min=1)[:, None]
    cell = torch.arange(cells, device=low.device)[:, None]
    where = low[:, None, None] + (cell + inner[:, None]) * (length / cells)[:, None, None]

    limit = size.to(exact)[:, None, None]
    inside = (where >= -1) & (where <= limit) & used[:, None]  # (N, s, k)
    where = torch.minimum(where.clamp(min=0), limit - 1)
    first = where.floor()
    fraction = where - first
    share = inside / count.clamp(min=1)[:, None, None]
    index = torch.stack([first, torch.minimum(first + 1, limit - 1)], -1)
    weight = torch.stack([(1 - fraction) * share, fraction * share], -1)
    return Taps(index.flatten(2).clamp(min=0).long(), weight.flatten(2))


def upsampling_taps(taps: Taps, fine: Int[Tensor, " N"], coarse: Int[Tensor, " N"]) -> Taps:
    """Taps on a coarse axis that read what `taps` reads on the axis up-sampled bilinearly.

    The up-sampling is `interpolate(..., mode="bilinear", align_corners=False)` from `coarse` to
    `fine` pixels, any ratio. T doubles.
    """
    ratio = (coarse.to(taps.weight) / fine)[:, None, None]
    where = ((taps.pixel + 0.5) * ratio - 0.5).clamp(min=0)
    first = where.floor()
    fraction = (where - first).to(taps.weight)
    last = (coarse - 1)[:, None, None]
    first = torch.minimum(first.long(), last)
    index = torch.stack([first, torch.minimum(first + 1, last)], -1)
    weight = torch.stack([taps.weight * (1 - fraction), taps.weight * fraction], -1)
    return Taps(index.flatten(2), weight.flatten(2))


def merge_taps(taps: Taps) -> Taps:
    """The same taps with equal pixels joined, ascending; exported programs keep all of them."""
    if torch.compiler.is_exporting():
        return taps
    index, order = taps.pixel.sort(-1)
    weight = taps.weight.gather(-1, order)
    new = torch.ones_like(index)
    new[..., 1:] = index[..., 1:] != index[..., :-1]
    slot = new.cumsum(-1) - 1
    return Taps(
        torch.zeros_like(index).scatter(-1, slot, index),
        torch.zeros_like(weight).scatter_add(-1, slot, weight),
    )


def narrowed(taps: Taps) -> Taps:
    """Merged taps with T as small as the fullest cell allows.

    On a CPU only: elsewhere, and under `torch.compile`, the new T would have to be waited for.
    """
    if taps.pixel.device.type != "cpu" or torch.compiler.is_compiling() or not taps.pixel.numel():
        return taps
    number = torch.arange(1, taps.weight.shape[-1] + 1)
    width = max(int(((taps.weight != 0) * number).max()), 1)
    return Taps(taps.pixel[..., :width], taps.weight[..., :width])
