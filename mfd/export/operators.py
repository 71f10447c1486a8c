"""mfd's two operators as plain PyTorch that any runtime has: gathers and weighted sums.

Programs that leave mfd contain these in place of `mfd::deform_attn` and `mfd::roi_read`. Shapes
may be symbols, so nothing is read out of a tensor.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

import mfd.kernels  # noqa: F401  registers the operators


def deform_attn(
    value: Tensor, shapes: Tensor, points: Tensor, weights: Tensor, reference: Tensor | None
) -> Tensor:
    """Multi-scale deformable attention; arguments as in `mfd.kernels.deform_attn.op`.

    One gather for each corner of the points' cells; corners outside of their map count nothing.
    """
    batch, area, heads, dim = value.shape
    per_level = weights.shape[3] // shapes.shape[0]
    pixels = shapes.prod(1)
    size_wh = _spread(shapes.flip(1), per_level)  # (T, 2)
    start = _spread((pixels.cumsum(0) - pixels)[:, None], per_level)[:, 0]  # (T,)
    if reference is None:
        where = points * size_wh - 0.5
    else:
        origin = reference.unsqueeze(3).expand(-1, -1, -1, per_level, -1).flatten(2, 3)
        where = points + origin[:, :, None] * size_wh - 0.5  # (B, Q, M, T, 2)
        weights = weights.softmax(-1)
    image = torch.arange(batch, device=value.device)[:, None, None, None]
    head = torch.arange(heads, device=value.device)[:, None]
    table = value.reshape(-1, dim)
    total = value.new_zeros(())
    for line, in_y in _nearest(where[..., 1], size_wh[:, 1]):
        for column, in_x in _nearest(where[..., 0], size_wh[:, 0]):
            pixel = image * area + start + line * size_wh[:, 0] + column
            index = (pixel * heads + head).flatten()
            read = table.index_select(0, index).view(*pixel.shape, dim)
            total = total + (read * (in_y * in_x * weights)[..., None]).sum(3)
    return total


def roi_read(
    features: Tensor,
    y: Tensor,
    y_weight: Tensor,
    x: Tensor,
    x_weight: Tensor,
    image: Tensor,
    add: Tensor | None,
) -> Tensor:
    """A map read through tables of taps; arguments as in `mfd.kernels.roi_align.op`.

    One gather for each pair of a vertical and a horizontal tap.
    """
    _, height, width, channels = features.shape
    table = features.reshape(-1, channels)
    total = features.new_zeros(()) if add is None else add
    for row, row_weight in zip(y.unbind(2), y_weight.unbind(2), strict=True):
        first = (image[:, None] * height + row) * width  # (N, s)
        line = features.new_zeros(())
        for column, weight in zip(x.unbind(2), x_weight.unbind(2), strict=True):
            index = first[:, :, None] + column[:, None]  # (N, s, s)
            read = table.index_select(0, index.flatten()).view(*index.shape, channels)
            line = line + read * weight[:, None, :, None]
        total = total + line * row_weight[:, :, None, None]
    return total


def _nearest(where: Tensor, size: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Along one axis, the two pixels around each point and their weights; outside they have none.

    Args:
        where: in pixels; 0 is the centre of a map's first one.
        size: of each point's map.
    """
    low = where.floor()
    for pixel in (low, low + 1):
        inside = (pixel >= 0) & (pixel < size)
        share = (1 - (where - pixel).abs()) * inside
        yield torch.minimum(pixel.clamp(min=0), size - 1).long(), share


def _spread(by_level: Tensor, points: int) -> Tensor:
    """(L, n) as (L * points, n): what each level says, for each of its points."""
    return by_level[:, None].expand(-1, points, -1).flatten(0, 1)


_GATHERED: dict[Any, Callable[..., Tensor]] = {
    torch.ops.mfd.deform_attn: deform_attn,
    torch.ops.mfd.roi_read: roi_read,
}


class Gathers(TorchFunctionMode):
    """A context in which the functions above take the place of mfd's operators."""

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return _GATHERED.get(func, func)(*args, **(kwargs or {}))
