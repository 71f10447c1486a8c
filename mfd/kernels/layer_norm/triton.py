"""Triton kernels of LayerNorm of a sum; see `op`.

A tile is (BLOCK_N, BLOCK_D), whole rows. Both directions are bound by memory: forward reads two
tensors and writes one, backward reads three and writes one. Sums are float32, or float64 for
float64 (ACC). No atomic additions: two runs agree in every bit.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def"

import triton
import triton.language as tl


@triton.jit
def forward_kernel(
    x,  # (N, D)
    y,  # (N, D)
    weight,  # (D,)
    bias,  # (D,)
    out,  # (N, D)
    mean,  # (N,) of type ACC
    scale,  # (N,) of type ACC
    N,
    eps,
    D: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
    ACC: tl.constexpr,
):
    """Grid: blocks of rows."""
    d = tl.arange(0, BLOCK_D)
    n = tl.program_id(0).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    inside = (n < N)[:, None] & (d < D)[None, :]
    place = n[:, None] * D + d[None, :]
    total = tl.load(x + place, mask=inside, other=0.0).to(ACC)
    total += tl.load(y + place, mask=inside, other=0.0).to(ACC)
    middle = tl.sum(total, 1) / D
    centred = tl.where((d < D)[None, :], total - middle[:, None], 0.0)
    factor = 1.0 / tl.sqrt(tl.sum(centred * centred, 1) / D + eps)
    w = tl.load(weight + d, mask=d < D, other=0.0).to(ACC)
    b = tl.load(bias + d, mask=d < D, other=0.0).to(ACC)
    normed = centred * factor[:, None] * w[None, :] + b[None, :]
    tl.store(out + place, normed.to(out.dtype.element_ty), mask=inside)
    tl.store(mean + n, middle, mask=n < N)
    tl.store(scale + n, factor, mask=n < N)


@triton.jit
def backward_kernel(
    grad,  # (N, D)
    x,  # (N, D)
    y,  # (N, D)
    weight,  # (D,)
    mean,  # (N,) of type ACC
    scale,  # (N,) of type ACC
    of_sum,  # (N, D)
    parts,  # (2, programs, D) of type ACC: each program's gradients of weight and bias
    N,
    D: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
    ACC: tl.constexpr,
):
    """Grid: as many programs as there are parts; each takes every so manieth block of rows."""
    d = tl.arange(0, BLOCK_D)
    w = tl.load(weight + d, mask=d < D, other=0.0).to(ACC)
    of_weight = tl.zeros([BLOCK_N, BLOCK_D], ACC)
    of_bias = tl.zeros([BLOCK_N, BLOCK_D], ACC)
    block = tl.program_id(0)
    while block * BLOCK_N < N:
        n = block.to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
        inside = (n < N)[:, None] & (d < D)[None, :]
        place = n[:, None] * D + d[None, :]
        total = tl.load(x + place, mask=inside, other=0.0).to(ACC)
        total += tl.load(y + place, mask=inside, other=0.0).to(ACC)
        g = tl.load(grad + place, mask=inside, other=0.0).to(ACC)
        middle = tl.load(mean + n, mask=n < N, other=0.0)
        factor = tl.load(scale + n, mask=n < N, other=0.0)
        normed = (total - middle[:, None]) * factor[:, None]
        of_weight += g * normed  # g is zero wherever nothing was read
        of_bias += g
        g *= w[None, :]
        along = tl.sum(g * normed, 1) / D
        g = (g - (tl.sum(g, 1) / D)[:, None] - normed * along[:, None]) * factor[:, None]
        tl.store(of_sum + place, g.to(of_sum.dtype.element_ty), mask=inside)
        block += tl.num_programs(0)
    row = tl.program_id(0) * D
    tl.store(parts + row + d, tl.sum(of_weight, 0), mask=d < D)
    tl.store(parts + tl.num_programs(0) * D + row + d, tl.sum(of_bias, 0), mask=d < D)
