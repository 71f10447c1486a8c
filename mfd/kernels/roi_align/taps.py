"""RoIAlign as 1-D tap tables: which pixels a cell reads along one axis, and with what weights.

RoIAlign is linear in the map and separable: a box and a channel give `out = Ay @ map @ Ax.T`. A
table holds the non-zero entries of Ay or Ax. Bilinear up-sampling is separable too, so RoIAlign of
an up-sampled map has tables on the map before up-sampling (`upsampling_taps`).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Taps(NamedTuple):
    """Along one axis, the T pixels that each of s cells of N boxes reads, and their weights."""

    pixel: Int[Tensor, "N s T"]
    weight: Float[Tensor, "N s T"]


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
    exact = torch.float64 if low.dtype == torch.float64 else torch.float32
    low, high = low.to(exact), high.to(exact)
    if aligned:
        low, high = low - 0.5, high - 0.5
        length = high - low
    else:
        length = (high - low).clamp(min=1)
    finite = low.isfinite() & high.isfinite()
    low, length = torch.where(finite, low, 0), torch.where(finite, length, 0)

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
    """The same taps with equal pixels joined, ascending, and T no larger than needed.

    T is cut only on a CPU: elsewhere, and under `torch.compile`, its new value would have to be
    waited for. Exported programs keep the taps as they are.
    """
    if torch.compiler.is_exporting():
        return taps
    index, order = taps.pixel.sort(-1)
    weight = taps.weight.gather(-1, order)
    new = torch.ones_like(index)
    new[..., 1:] = index[..., 1:] != index[..., :-1]
    slot = new.cumsum(-1) - 1
    merged = Taps(
        torch.zeros_like(index).scatter(-1, slot, index),
        torch.zeros_like(weight).scatter_add(-1, slot, weight),
    )
    if index.device.type != "cpu" or torch.compiler.is_compiling() or not slot.numel():
        return merged
    width = int(slot.max()) + 1
    return Taps(merged.pixel[..., :width], merged.weight[..., :width])
