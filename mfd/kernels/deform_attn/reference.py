"""Multi-scale deformable attention in PyTorch, both directions, in float32 or float64.

    out[b, q, m] = sum_t weight[b, q, m, t] * bilinear(value of level(t), at x_t, y_t)

A bilinear sample is a weighted sum of the four pixels of a 2 x 2 cell. The cell of a point outside
the map is the nearest one inside, and the hat `max(0, 1 - |distance|)` gives every corner its
weight, zero where the point is too far: no corner lies outside and nothing has to be masked. What
is left are weighted sums of table rows, the job of `embedding_bag`, which copies no row. There are
no atomics: two runs agree in every bit, on every device.

What is known of the points lies plane by plane, (.., B, Q, M, T): a CPU works through one long row
in a third of the time that it needs for rows as short as T.
"""

import warnings
from functools import cache
from itertools import product
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

from mfd.kernels.sums import sum_dtype

MAX_GATHERED = 2**26  # numbers gathered at a time, where rows have to be copied
NOWHERE = -2.0  # a coordinate at which every hat is zero, in the place of NaN


class Maps(NamedTuple):
    """What each of T points has to know of its map; the same for all of M heads.

    Attributes:
        size: width and height, pixels.
        last: column and line of the last cell.
        second: from the first to the second pixel of a cell, along x and y: 1, or inf where the
            map is only one pixel wide or high.
        start: row of the map's first pixel, in the table of S * M rows of an image.
        line: from a pixel to the one below, rows.
        steps: from the upper left corner of a cell to the upper left, upper right, lower left and
            lower right one, rows; 0 where there is no second pixel.
    """

    size: Float[Tensor, "xy 1 1 M T"]
    last: Float[Tensor, "xy 1 1 M T"]
    second: Float[Tensor, "xy 1 1 M T"]
    start: Int[Tensor, "M T"]
    line: Int[Tensor, "M T"]
    steps: Int[Tensor, "4 M T"]


class Cells(NamedTuple):
    """The 2 x 2 cell of every point.

    Attributes:
        maps: where the cells lie.
        row: of a cell's upper left corner, in the table of B * S * M rows.
        distance: of the point from the cell's first and second pixel, along x and along y.
    """

    maps: Maps
    row: Int[Tensor, "B Q M T"]
    distance: Float[Tensor, "2 xy B Q M T"]


def describe_maps(spatial_shapes: Int[Tensor, "L 2"], points: Float[Tensor, "B Q M T"]) -> Maps:
    """Sizes and places of the maps, point by point."""
    heads, total = points.shape[2:]
    pixels, rows, start = [], [], 0
    for height, width in spatial_shapes.tolist():
        wide, high = width > 1, height > 1
        far = [1 if wide else torch.inf, 1 if high else torch.inf]
        pixels.append([width, height, max(width - 2, 0), max(height - 2, 0), *far])
        rows.append([start, width, 0, wide, high * width, wide + high * width])
        start += height * width

    def spread(table: list[list[float]], dtype: torch.dtype) -> Tensor:
        by_map = torch.tensor(table, dtype=dtype, device=points.device).t()
        return by_map.repeat_interleave(total // len(table), 1)[:, None].repeat(1, heads, 1)

    size, last, second = spread(pixels, points.dtype).view(3, 2, 1, 1, heads, total)
    table = spread(rows, torch.int32).mul_(heads)
    table[0] += torch.arange(heads, device=points.device, dtype=torch.int32)[:, None]
    return Maps(size, last, second, table[0], table[1], table[2:])


def find_cells(maps: Maps, pixels: Float[Tensor, "xy B Q M T"], area: int) -> Cells:
    """The cell of every point, given in pixels; 0 is the centre of a map's first pixel."""
    _, batch, _, heads, _ = pixels.shape
    pixels = pixels.nan_to_num(nan=NOWHERE)
    low = pixels.floor().clamp_(pixels.new_zeros(()), maps.last)
    distance = pixels.new_empty(2, *pixels.shape)
    torch.sub(pixels, low, out=distance[0])
    torch.sub(distance[0], maps.second, out=distance[1])
    column, line = low.int()
    image = torch.arange(batch, device=line.device, dtype=torch.int32)[:, None, None, None]
    row = (line * maps.line).add_(column, alpha=heads).add_(maps.start + image * (area * heads))
    return Cells(maps, row, distance)


def forward(
    value: Tensor, shapes: Tensor, points: Tensor, weights: Tensor, reference: Tensor | None
) -> Tensor:
    """The weighted samples; see `op` for the arguments."""
    batch, _, heads, dim = value.shape
    queries = weights.shape[1]
    if not value.numel() or not weights.numel():
        return value.new_zeros(batch, queries, heads, dim)
    cells, attention = _read_points(value, shapes, points, weights, reference)
    weight = attention.new_empty(*attention.shape[:-1], 4, attention.shape[-1])
    factors = _corner_factors(_hats(cells.distance), attention)
    for (in_y, in_x), part in zip(factors, weight.unbind(-2), strict=True):
        torch.mul(in_y, in_x, out=part)
    out = embedding_bag(
        _corner_rows(cells),
        value.reshape(-1, dim).to(attention),
        per_sample_weights=weight.view(-1, 4 * attention.shape[-1]),
        mode="sum",
    )
    return out.view(batch, queries, heads, dim).to(value.dtype)


def backward(
    grad: Tensor,
    value: Tensor,
    shapes: Tensor,
    points: Tensor,
    weights: Tensor,
    reference: Tensor | None,
    need_value: bool,
    need_points: bool,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The gradients of value, points and weights; None where they are not needed."""
    of_value = of_points = of_weights = None
    if not value.numel() or not weights.numel():
        return (
            torch.zeros_like(value) if need_value else None,
            torch.zeros_like(points) if need_points else None,
            torch.zeros_like(weights) if need_points else None,
        )
    cells, attention = _read_points(value, shapes, points, weights, reference)
    hats = _hats(cells.distance)
    grad = grad.reshape(-1, grad.shape[-1]).to(attention)
    if need_value:
        factors = _corner_factors(hats, attention)
        of_value = _value_grad(grad, cells, factors, value.shape[:3].numel())
        of_value = of_value.view(value.shape).to(value.dtype)
    if need_points:
        table = value.reshape(-1, value.shape[-1]).to(attention)
        of_pixels, of_weights = _points_grad(_corner_dots(grad, table, cells), cells, hats)
        of_pixels *= attention
        if reference is None:
            of_pixels *= cells.maps.size
        else:
            mean = (attention * of_weights).sum(-1, keepdim=True)
            of_weights = attention * (of_weights - mean)
        of_points = of_pixels.movedim(0, -1).to(points.dtype).contiguous()
        of_weights = of_weights.to(weights.dtype)
    return of_value, of_points, of_weights


def _value_grad(
    grad: Float[Tensor, "N D"],
    cells: Cells,
    factors: list[tuple[Tensor, Tensor]],
    num_rows: int,
) -> Float[Tensor, "R D"]:
    """For every row of the value table, the weighted sum of the outputs that read it.

    The points are sorted by cell once; within a level all four corners keep that order.
    """
    order = cells.row.flatten().sort(stable=True)[1]
    reader = torch.arange(len(grad), device=grad.device, dtype=torch.int32)
    reader = reader[:, None].expand(-1, cells.row.shape[-1]).flatten().index_select(0, order)
    total = grad.new_zeros(num_rows, grad.shape[1])
    for step, (in_y, in_x) in zip(cells.maps.steps, factors, strict=True):
        count = torch.bincount((cells.row + step).flatten(), minlength=num_rows)
        starts = (count.cumsum(0) - count).int()
        weight = (in_y * in_x).flatten().index_select(0, order)
        total += embedding_bag(reader, grad, starts, per_sample_weights=weight, mode="sum")
    return total


def _points_grad(
    dots: Float[Tensor, "2 2 B Q M T"], cells: Cells, hats: Float[Tensor, "2 xy B Q M T"]
) -> tuple[Float[Tensor, "xy B Q M T"], Float[Tensor, "B Q M T"]]:
    """The derivatives of <grad, sample> in x and in y, and <grad, sample> itself."""
    slopes = _slopes(cells.distance)
    left, right = _mix(dots[0], dots[1], hats[:, 1])
    upper, lower = _mix(dots[:, 0], dots[:, 1], hats[:, 0])
    in_x, in_y = _mix(left, right, slopes[:, 0]), _mix(upper, lower, slopes[:, 1])
    return torch.stack([in_x, in_y]), _mix(left, right, hats[:, 0])


def _read_points(
    value: Tensor, shapes: Tensor, points: Tensor, weights: Tensor, reference: Tensor | None
) -> tuple[Cells, Float[Tensor, "B Q M T"]]:
    """Cells and final weights of the points, whichever of the two forms they come in."""
    exact = sum_dtype(value.dtype)
    points, weights = points.movedim(-1, 0).to(exact).contiguous(), weights.to(exact)
    maps = describe_maps(shapes, points[0])
    if reference is None:
        pixels = torch.addcmul(points.new_full((), -0.5), points, maps.size)
    else:
        origin = reference.to(exact).repeat_interleave(points.shape[-1] // len(shapes), 2)
        origin = origin.movedim(-1, 0)[:, :, :, None]  # (xy, B, Q, 1, T)
        pixels = points + (origin * maps.size[:, :, :, :1] - 0.5)
        weights = _softmax(weights)
    return find_cells(maps, pixels, value.shape[1]), weights.contiguous()


def _softmax(logits: Float[Tensor, "B Q M T"]) -> Float[Tensor, "B Q M T"]:
    """Softmax over T, which is short: one point at a time for all outputs, 4 times as fast."""
    return logits.movedim(-1, 0).contiguous().softmax(0).movedim(0, -1)


def _hats(distance: Tensor) -> Tensor:
    """The weight of a pixel at a distance, in linear interpolation along one axis."""
    hats = distance.abs()
    return torch.sub(1, hats, out=hats).relu_()


def _slopes(distance: Tensor) -> Tensor:
    """The derivatives of the hats, at a kink the one to the right: 1 before a pixel, -1 after."""
    step = distance.floor()
    before = torch.eq(step, -1, out=torch.empty_like(step))  # as numbers: five times as fast
    return before.sub_(step.eq_(0))


def _mix(first: Tensor, second: Tensor, shares: Tensor) -> Tensor:
    return torch.addcmul(first * shares[0], second, shares[1])


def _corner_factors(
    hats: Float[Tensor, "2 xy B Q M T"], attention: Float[Tensor, "B Q M T"]
) -> list[tuple[Float[Tensor, "B Q M T"], Float[Tensor, "B Q M T"]]]:
    """Two factors of each corner's weight: upper left, upper right, lower left, lower right."""
    return list(product((hats[:, 1] * attention).unbind(), hats[:, 0].unbind()))


def _corner_rows(cells: Cells) -> Int[Tensor, "N 4T"]:
    """The table rows of all corners of an output's points, side by side."""
    *outputs, total = cells.row.shape
    rows = cells.row.new_empty(*outputs, 4, total)
    for step, part in zip(cells.maps.steps[:, 0], rows.unbind(-2), strict=True):
        torch.add(cells.row, step, out=part)
    return rows.view(-1, 4 * total)


def _corner_dots(
    grad: Float[Tensor, "N D"], table: Float[Tensor, "R D"], cells: Cells
) -> Float[Tensor, "2 2 B Q M T"]:
    """<grad[n], row of a corner of (n, t)>: entries of a matrix product, only those needed."""
    index = _corner_rows(cells)
    outputs, width = index.shape
    if grad.device.type == "cpu" and width <= len(table):
        _silence_sparse_beta_warning()
        starts = torch.arange(0, outputs * width + 1, width, dtype=torch.int32)
        wanted = torch.sparse_csr_tensor(
            starts,
            index.flatten(),
            grad.new_zeros(outputs * width),
            (outputs, len(table)),
            check_invariants=False,
        )
        torch.sparse.sampled_addmm(wanted, grad, table.t(), beta=0.0, out=wanted)
        dots = wanted.values()
    else:  # elsewhere no entry may repeat, and nowhere may there be more than in a dense matrix
        dots = grad.new_empty(outputs, width, 1)
        share = max(MAX_GATHERED // (width * table.shape[1]), 1)
        for part in range(0, outputs, share):
            which = index[part : part + share]
            rows = table.index_select(0, which.flatten()).view(*which.shape, -1)
            dots[part : part + share] = torch.bmm(rows, grad[part : part + share, :, None])
    dots = dots.view(outputs, 4, -1).transpose(0, 1).contiguous()
    return dots.view(2, 2, *cells.row.shape)


@cache
def _silence_sparse_beta_warning() -> None:
    """Trigger PyTorch's once-per-process warning about sparse tensors here, where it is hidden."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        torch.sparse_csr_tensor(torch.tensor([0, 0]), torch.tensor([]).long(), torch.tensor([]))
