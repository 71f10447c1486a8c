"""Functions of mfd as plain PyTorch that any runtime has: gathers and weighted sums.

Programs that leave mfd contain these in place of the operators `mfd::deform_attn` and
`mfd::roi_read`, of the reshapes around window attention, and of PyTorch's own ways from sizes to
tensors. Shapes may be symbols, so nothing is read out of a tensor, and nothing depends on how they
compare.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding
from torch.overrides import TorchFunctionMode

import mfd.kernels  # registers the operators
import mfd.nn


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
        first = image * area + start + line * size_wh[:, 0]
        for column, in_x in _nearest(where[..., 0], size_wh[:, 0]):
            read = embedding((first + column) * heads + head, table)
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
    lines = ((image[:, None, None] * height + y) * width)[:, :, None].unbind(-1)  # N, s, 1
    line_weights = y_weight[:, :, None, None].unbind(-1)  # N, s, 1, 1
    columns = x[:, None].unbind(-1)  # N, 1, s
    column_weights = x_weight[:, None, :, None].unbind(-1)  # N, 1, s, 1
    total = features.new_zeros(()) if add is None else add
    for line, line_weight in zip(lines, line_weights, strict=True):
        read = features.new_zeros(())
        for column, weight in zip(columns, column_weights, strict=True):
            read = read + embedding(line + column, table) * weight
        total = total + read * line_weight
    return total


def to_windows(maps: Tensor, window: int, shift: int) -> Tensor:
    """Maps in windows; arguments as in `mfd.nn.to_windows`.

    One gather: of reshapes and slices PyTorch would ask whether the last windows are full.
    """
    batch, height, width, dim = maps.shape
    rows, columns = -(-height // window), -(-width // window)
    y = _moved(rows * window, shift, rows * window, maps.device).view(rows, 1, window, 1)
    x = _moved(columns * window, shift, columns * window, maps.device).view(columns, 1, window)
    inside = ((y < height) & (x < width)).flatten()
    place = (y.clamp(max=height - 1) * width + x.clamp(max=width - 1)).flatten()
    cells = maps.flatten(1, 2).index_select(1, place) * inside[:, None]
    return cells.view(batch, rows * columns, window**2, dim)


def from_windows(windows: Tensor, size_hw: tuple[int, int], window: int, shift: int) -> Tensor:
    """Maps of a size; arguments as in `mfd.nn.from_windows`. One gather."""
    (height, width), (batch, _, cells, dim) = size_hw, windows.shape
    rows, columns = -(-height // window), -(-width // window)
    y = _moved(height, -shift, rows * window, windows.device)[:, None]
    x = _moved(width, -shift, columns * window, windows.device)
    number = y // window * columns + x // window
    place = number * cells + y % window * window + x % window
    maps = windows.flatten(1, 2).index_select(1, place.flatten())
    return maps.view(batch, height, width, dim)


def tensor_of(make: Callable[..., Tensor], data: Any, *args: Any, **kwargs: Any) -> Tensor:
    """`make(data)`, in which sizes stay open; PyTorch's own makes them numbers."""
    kwargs = {**dict(zip(("dtype", "device"), args, strict=False)), **kwargs}
    if not _is_open(data):
        return make(data, **kwargs)
    if isinstance(data, Sequence):
        return torch.stack([tensor_of(make, each, **kwargs) for each in data])
    return torch.full((), data, **{"dtype": torch.int64, **kwargs})


def linspace(start: Any, end: Any, steps: Any, **kwargs: Any) -> Tensor:
    """`torch.linspace`, whose number of steps stays open; PyTorch's own makes it a number."""
    if not _is_open(steps):
        return torch.linspace(start, end, steps, **kwargs)
    first, last = (torch.full((), value, **kwargs) for value in (start, end))
    number = torch.arange(steps, **kwargs)
    return first + (last - first) * (number / number[-1:].clamp(min=1))


def _is_open(data: Any) -> bool:
    """Whether it is a size that is a symbol, or a list with one in it, at any depth."""
    if isinstance(data, list | tuple):
        return any(map(_is_open, data))
    return isinstance(data, torch.SymInt)


def _moved(count: int, shift: int, around: int, device: torch.device) -> Tensor:
    """The numbers below `count`, `shift` further on; `around - 1` is followed by 0."""
    moved = torch.arange(count, device=device) + shift
    return moved - ((moved >= around).long() - (moved < 0).long()) * around


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
    torch.as_tensor: partial(tensor_of, torch.as_tensor),
    torch.tensor: partial(tensor_of, torch.tensor),
    torch.linspace: linspace,
    mfd.nn.to_windows: to_windows,
    mfd.nn.from_windows: from_windows,
}


class Gathers(TorchFunctionMode):
    """A context in which the functions above take the place of mfd's and of PyTorch's."""

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return _GATHERED.get(func, func)(*args, **(kwargs or {}))
