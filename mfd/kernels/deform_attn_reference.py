"""Multi-scale deformable attention in PyTorch, both directions, in float32 or float64.

    out[b, q, m] = sum_t weight[b, q, m, t] * bilinear(value of level(t), at x_t, y_t)

A bilinear sample is a weighted sum of the four pixels of a 2 x 2 cell. The cell of a point outside
the map is the nearest one inside, and the hat `max(0, 1 - |distance|)` gives every corner its
weight, zero where the point is too far: no corner lies outside and nothing has to be masked. What
is left are weighted sums of table rows, the job of `embedding_bag`, which copies no row. There are
no atomics: two runs agree in every bit, on every device.
"""

import warnings
from functools import cache
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

GATHERED = 2**26  # numbers that are gathered at a time, where they have to be
NOWHERE = -2.0  # a coordinate at which every hat is zero, in the place of NaN


class Cells(NamedTuple):
    """The 2 x 2 cell of every point; N = B * Q * M outputs of T points each.

    Attributes:
        row: of the top left corner, in the table of B * S * M rows.
        right: from a left corner to its right neighbour, rows; 0 in a map one pixel wide.
        down: from an upper corner to the one below; 0 in a map one pixel high.
        x: from the left corner, pixels; between 0 and 1 where the point is inside.
        y: from the upper corner.
        wide: whether there is a right neighbour at all; 0 or 1.
        high: whether there is one below.
    """

    row: Int[Tensor, "N T"]
    right: Int[Tensor, " T"]
    down: Int[Tensor, " T"]
    x: Float[Tensor, "N T"]
    y: Float[Tensor, "N T"]
    wide: Float[Tensor, " T"]
    high: Float[Tensor, " T"]

    def rows(self) -> list[Int[Tensor, "N T"]]:
        """The table rows of the corners: upper left, upper right, lower left, lower right."""
        below = self.row + self.down
        return [self.row, self.row + self.right, below, below + self.right]


def find_cells(
    spatial_shapes: Int[Tensor, "L 2"], pixels: Float[Tensor, "B Q M T 2"], area: int
) -> Cells:
    """The cell of every point, given in pixels; 0 is the centre of a map's first pixel."""
    batch, _, heads, points, _ = pixels.shape
    per_level = points // len(spatial_shapes)
    shapes = spatial_shapes.to(pixels.device, torch.int32)
    areas = shapes.prod(1, dtype=torch.int32)
    table = torch.stack([shapes[:, 0], shapes[:, 1], areas.cumsum(0, dtype=torch.int32) - areas])
    height, width, start = table.repeat_interleave(per_level, 1)  # (T,) each

    x, y = pixels.nan_to_num(nan=NOWHERE).unbind(-1)  # (B, Q, M, T)
    left = torch.minimum(x.floor().clamp_(min=0), (width - 2).clamp(min=0).to(x))
    top = torch.minimum(y.floor().clamp_(min=0), (height - 2).clamp(min=0).to(y))
    image = torch.arange(batch, device=x.device, dtype=torch.int32)[:, None, None, None] * area
    head = torch.arange(heads, device=x.device, dtype=torch.int32)[:, None]
    row = (top.int() * width + left.int() + start).add_(image).mul_(heads).add_(head)
    return Cells(
        row.flatten(0, 2),
        (width > 1).int() * heads,
        (height > 1).int() * width * heads,
        (x - left).flatten(0, 2),
        (y - top).flatten(0, 2),
        (width > 1).to(x),
        (height > 1).to(y),
    )


def forward(
    value: Tensor, shapes: Tensor, points: Tensor, weights: Tensor, reference: Tensor | None
) -> Tensor:
    """The weighted samples; see `deform_attn_ops` for the arguments."""
    batch, _, heads, dim = value.shape
    queries = weights.shape[1]
    if not value.numel() or not weights.numel():
        return value.new_zeros(batch, queries, heads, dim)
    cells, attention = _read_points(value, shapes, points, weights, reference)
    out = embedding_bag(
        torch.cat(cells.rows(), -1),
        value.reshape(-1, dim).to(attention),
        per_sample_weights=torch.cat([w * attention for w in _corner_weights(cells)], -1),
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
    grad = grad.reshape(-1, grad.shape[-1]).to(attention)
    if need_value:
        of_value = _value_grad(grad, cells, attention, value.shape[:3].numel())
        of_value = of_value.view(value.shape).to(value.dtype)
    if need_points:
        table = value.reshape(-1, value.shape[-1]).to(attention)
        x_grad, y_grad, of_attention = _points_grad(_corner_dots(grad, table, cells), cells)
        if reference is None:
            width, height = _sizes_wh(shapes, points).to(attention).unbind(1)
            x_grad, y_grad = x_grad * width, y_grad * height
        else:
            mean = (attention * of_attention).sum(-1, keepdim=True)
            of_attention = attention * (of_attention - mean)
        of_points = torch.stack([x_grad * attention, y_grad * attention], -1)
        of_points = of_points.view(points.shape).to(points.dtype)
        of_weights = of_attention.view(weights.shape).to(weights.dtype)
    return of_value, of_points, of_weights


def _value_grad(
    grad: Float[Tensor, "N D"], cells: Cells, attention: Float[Tensor, "N T"], num_rows: int
) -> Float[Tensor, "R D"]:
    """For every row of the value table, the weighted sum of the outputs that read it.

    The points are sorted by cell once; within a level all four corners keep that order.
    """
    order = cells.row.flatten().sort(stable=True)[1]
    readers = torch.div(order, attention.shape[1], rounding_mode="floor")
    total = grad.new_zeros(num_rows, grad.shape[1])
    for row, bilinear in zip(cells.rows(), _corner_weights(cells), strict=True):
        count = torch.bincount(row.flatten(), minlength=num_rows)
        weight = (bilinear * attention).flatten().index_select(0, order)
        starts = count.cumsum(0) - count
        total += embedding_bag(readers, grad, starts, per_sample_weights=weight, mode="sum")
    return total


def _points_grad(
    dot: Float[Tensor, "4 N T"], cells: Cells
) -> tuple[Float[Tensor, "N T"], Float[Tensor, "N T"], Float[Tensor, "N T"]]:
    """The derivatives of <grad, sample> in x and in y, and <grad, sample> itself."""
    left, right = _hats(cells.x, cells.wide)
    up, down = _hats(cells.y, cells.high)
    upper, lower = dot[0] * left + dot[1] * right, dot[2] * left + dot[3] * right
    first, second = dot[0] * up + dot[2] * down, dot[1] * up + dot[3] * down
    x_slope = _slope(cells.x, first, second * cells.wide)
    y_slope = _slope(cells.y, upper, lower * cells.high)
    return x_slope, y_slope, upper * up + lower * down


def _read_points(
    value: Tensor, shapes: Tensor, points: Tensor, weights: Tensor, reference: Tensor | None
) -> tuple[Cells, Float[Tensor, "N T"]]:
    """Cells and final weights of the points, whichever of the two forms they come in."""
    exact = torch.float64 if value.dtype == torch.float64 else torch.float32
    points, weights = points.to(exact), weights.to(exact)
    sizes_wh = _sizes_wh(shapes, points)  # (T, 2)
    if reference is None:
        pixels = points * sizes_wh - 0.5
    else:
        per_level = points.shape[3] // len(shapes)
        origin = reference.to(exact).repeat_interleave(per_level, 2) * sizes_wh - 0.5
        pixels = points + origin[:, :, None]  # (B, Q, M, T, 2)
        weights = weights.softmax(-1)
    return find_cells(shapes, pixels, value.shape[1]), weights.flatten(0, 2)


def _sizes_wh(shapes: Tensor, points: Tensor) -> Float[Tensor, "T 2"]:
    return shapes.flip(-1).to(points).repeat_interleave(points.shape[3] // len(shapes), 0)


def _corner_weights(cells: Cells) -> list[Float[Tensor, "N T"]]:
    left, right = _hats(cells.x, cells.wide)
    up, down = _hats(cells.y, cells.high)
    return [up * left, up * right, down * left, down * right]


def _hats(distance: Tensor, has_next: Tensor) -> tuple[Tensor, Tensor]:
    """Linear interpolation weights of a corner and of the next one along an axis."""
    first = (1 - distance.abs()).relu_()
    second = (1 - (distance - 1).abs_()).relu_()
    return first, second * has_next


def _slope(distance: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """The derivative of `hat(d) * first + hat(d - 1) * second`, at a kink the one to the right."""
    step = distance.floor()
    before, inside, after = ((step == k).to(first) for k in (-1, 0, 1))
    return first * (before - inside) + second * (inside - after)


def _corner_dots(
    grad: Float[Tensor, "N D"], table: Float[Tensor, "R D"], cells: Cells
) -> Float[Tensor, "4 N T"]:
    """<grad[n], row of a corner of (n, t)>: entries of a matrix product, only those needed."""
    index = torch.cat(cells.rows(), -1)  # (N, 4T)
    outputs, width = index.shape
    if grad.device.type == "cpu" and width <= len(table):
        _hear_about_sparse_tensors()
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
        share = max(GATHERED // (width * table.shape[1]), 1)
        for part in range(0, outputs, share):
            which = index[part : part + share]
            rows = table.index_select(0, which.flatten()).view(*which.shape, -1)
            dots[part : part + share] = torch.bmm(rows, grad[part : part + share, :, None])
    return dots.view(outputs, 4, -1).transpose(0, 1).contiguous()


@cache
def _hear_about_sparse_tensors() -> None:
    """PyTorch says once per process that its sparse tensors are in beta; users need not know."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        torch.sparse_csr_tensor(torch.tensor([0, 0]), torch.tensor([]).long(), torch.tensor([]))
