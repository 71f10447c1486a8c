"""Weighted sums of table rows: what bilinear sampling of a channels-last map comes down to.

Both operations of this package read a map at a few pixels per output and add the pixels up with
weights. `embedding_bag` does exactly this without a copy of the rows, and the gradient of the
table is the same operation over the transposed index, so both directions run at its speed.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


def weighted_rows(
    table: Float[Tensor, "R D"], index: Int[Tensor, "N T"], weight: Float[Tensor, "N T"]
) -> Float[Tensor, "N D"]:
    """`sum_t weight[n, t] * table[index[n, t]]` for every n; differentiable in table and weight.

    A weight of zero does not hide a row that is not finite: 0 * inf is NaN. The result has the
    table's type; sums of 16-bit tables are accumulated in float32. No atomics: two runs agree in
    every bit.
    """
    exact = torch.float64 if table.dtype == torch.float64 else torch.float32
    rows: Tensor = _WeightedRows.apply(table.to(exact), index, weight.to(exact))
    return rows.to(table.dtype)


class _WeightedRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, index: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(table, index, weight)
        return _bag(index, table, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        table, index, weight = ctx.saved_tensors
        grad = grad.contiguous()
        table_grad = weight_grad = None
        if ctx.needs_input_grad[0]:
            table_grad = _table_grad(grad, index, weight, len(table))
        if ctx.needs_input_grad[2]:
            with torch.enable_grad():
                leaf = weight.detach().requires_grad_()
                rows = _bag(index, table.detach(), leaf)
            (weight_grad,) = torch.autograd.grad(rows, leaf, grad)
        return table_grad, None, weight_grad


def _bag(index: Tensor, table: Tensor, weight: Tensor) -> Tensor:
    if index.numel() == 0:
        return table.new_zeros(len(index), table.shape[1]) + 0 * weight.sum()
    return functional.embedding_bag(index, table, per_sample_weights=weight, mode="sum")


def _table_grad(grad: Tensor, index: Tensor, weight: Tensor, num_rows: int) -> Tensor:
    """The gradient of the table: for every row, the weighted sum of the outputs that read it."""
    if index.numel() == 0:
        return grad.new_zeros(num_rows, grad.shape[1])
    rows, readers = index.flatten().sort(stable=True)
    starts = torch.searchsorted(rows, torch.arange(num_rows, device=rows.device, dtype=rows.dtype))
    return functional.embedding_bag(
        torch.div(readers, index.shape[1], rounding_mode="floor"),
        grad,
        starts,
        per_sample_weights=weight.flatten()[readers],
        mode="sum",
    )
