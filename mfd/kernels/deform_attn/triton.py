"""Triton kernels of multi-scale deformable attention: forward, gradient of points, of value.

    out[b, q, m] = sum_t a_t * bilinear(value of level(t), x_t, y_t)

One program takes BLOCK_Q queries of one image and head; its tile is (BLOCK_Q, BLOCK_D). The points
of a level are unrolled, the levels are not: unrolled too, the forward kernel (bfloat16, compute
capability 9.0) has 42 KB of code and 104 registers instead of 13 KB and 63, and half the warps fit.
The gradient of points, which keeps more, unrolls neither and keeps two gradients of 16 bits in one
register: 64 are enough instead of 127.
With FUSED the inputs are pixel offsets, logits and reference points, and the softmax is taken here;
without, normalised locations and final weights.

Forward and the gradient of the points are bound by instructions, the gradient of value by its
additions into L2: 3.4 ms on an H200, where as many take 3.3 ms alone; `tiles` has one without. Sums
are float32, or float64 for float64 inputs (ACC). Rows travel through no shared memory.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def"

import triton
import triton.language as tl

from mfd.kernels.deform_attn import cells


@triton.jit
def forward_kernel(
    value,  # (B, S, M, D)
    shapes,  # (L, 2): height, width
    points,  # (B, Q, M, T, 2)
    weights,  # (B, Q, M, T)
    reference,  # (B, Q, L, 2), read only if FUSED
    out,  # (B, Q, M, D)
    S,
    Q,
    M: tl.constexpr,
    D: tl.constexpr,
    L: tl.constexpr,
    P: tl.constexpr,
    BLOCK_Q: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_T: tl.constexpr,
    FUSED: tl.constexpr,
    ACC: tl.constexpr,
):
    """The weighted samples; grid: B * M * blocks of queries."""
    T: tl.constexpr = L * P
    image, head, q, query, row = cells.program(Q, M, BLOCK_Q)
    d = tl.arange(0, BLOCK_D)
    value += image * S * M * D + head * D

    if FUSED:
        top, total = cells.softmax_terms(weights, row, T, BLOCK_T, ACC)
    acc = tl.zeros([BLOCK_Q, BLOCK_D], ACC)
    start = 0  # first pixel of the map in S
    for level in range(L):
        height, width, ref_x, ref_y = cells.read_level(
            shapes, reference, query, level, L, FUSED, ACC
        )
        right = tl.minimum(width - 1, 1) * (M * D)
        down = tl.minimum(height - 1, 1) * width * (M * D)
        for p in tl.static_range(P):
            t = level * P + p
            place = row * T + t
            pixel, x, y = cells.read_point(
                points, place, height, width, start, ref_x, ref_y, FUSED, ACC
            )
            weight = tl.load(weights + place).to(ACC)
            if FUSED:
                weight = tl.exp(weight - top)
            left_hat, right_hat = cells.hats(x, width)
            up_hat, down_hat = cells.hats(y, height)
            up_hat *= weight
            down_hat *= weight
            corner = pixel * (M * D)
            rows = cells.load_rows(value, corner, d, D, BLOCK_D).to(ACC)
            acc += (up_hat * left_hat)[:, None] * rows
            rows = cells.load_rows(value, corner + right, d, D, BLOCK_D).to(ACC)
            acc += (up_hat * right_hat)[:, None] * rows
            rows = cells.load_rows(value, corner + down, d, D, BLOCK_D).to(ACC)
            acc += (down_hat * left_hat)[:, None] * rows
            rows = cells.load_rows(value, corner + down + right, d, D, BLOCK_D).to(ACC)
            acc += (down_hat * right_hat)[:, None] * rows
        start += height * width
    if FUSED:
        acc /= total[:, None]
    tl.store(
        out + row[:, None] * D + d[None, :],
        acc.to(out.dtype.element_ty),
        mask=(q < Q)[:, None] & (d < D)[None, :],
    )


@triton.jit
def points_grad_kernel(
    grad,  # (B, Q, M, D)
    value,  # (B, S, M, D)
    shapes,  # (L, 2): height, width
    points,  # (B, Q, M, T, 2)
    weights,  # (B, Q, M, T)
    reference,  # (B, Q, L, 2), read only if FUSED
    points_grad,  # (B, Q, M, T, 2)
    weights_grad,  # (B, Q, M, T)
    S,
    Q,
    M: tl.constexpr,
    D: tl.constexpr,
    L: tl.constexpr,
    P: tl.constexpr,
    BLOCK_Q: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_T: tl.constexpr,
    FUSED: tl.constexpr,
    ACC: tl.constexpr,
):
    """Gradients of points and weights from the four products <grad, corner>; grid as forward."""
    T: tl.constexpr = L * P
    image, head, q, query, row = cells.program(Q, M, BLOCK_Q)
    d = tl.arange(0, BLOCK_D)
    t_all = tl.arange(0, BLOCK_T)[None, :]
    value += image * S * M * D + head * D

    # x and y of 16 bits are collected in one number, others side by side
    PAIRED: tl.constexpr = points_grad.dtype.element_ty.primitive_bitwidth == 16
    if FUSED:
        top, total = cells.softmax_terms(weights, row, T, BLOCK_T, ACC)
        log_total = tl.log(total)  # no division at every point
        if PAIRED:  # nor a second subtraction: up to logits of 8,000 it rounds less than 16 bits do
            top += log_total
            log_total = tl.zeros_like(top)
    g = cells.load_rows(grad, row * D, d, D, BLOCK_D).to(ACC)
    if PAIRED:
        all_xy = tl.zeros([BLOCK_Q, BLOCK_T], tl.int32)
    else:
        xy = tl.arange(0, 2 * BLOCK_T)[None, :]
        all_xy = tl.zeros([BLOCK_Q, 2 * BLOCK_T], ACC)
    all_weights = tl.zeros([BLOCK_Q, BLOCK_T], ACC)
    start = 0  # first pixel of the map in S
    for level in range(L):
        height, width, ref_x, ref_y = cells.read_level(
            shapes, reference, query, level, L, FUSED, ACC
        )
        right = tl.minimum(width - 1, 1) * (M * D)
        down = tl.minimum(height - 1, 1) * width * (M * D)
        for p in range(P):
            t = level * P + p
            place = row * T + t
            pixel, x, y = cells.read_point(
                points, place, height, width, start, ref_x, ref_y, FUSED, ACC
            )
            weight = tl.load(weights + place).to(ACC)
            if FUSED:
                weight = tl.exp(weight - top - log_total)
            left_hat, right_hat = cells.hats(x, 2)
            up_hat, down_hat = cells.hats(y, 2)
            corner = pixel * (M * D)
            dot_00 = tl.sum(g * cells.load_rows(value, corner, d, D, BLOCK_D).to(ACC), 1)
            dot_01 = tl.sum(g * cells.load_rows(value, corner + right, d, D, BLOCK_D).to(ACC), 1)
            dot_10 = tl.sum(g * cells.load_rows(value, corner + down, d, D, BLOCK_D).to(ACC), 1)
            dot_11 = tl.sum(
                g * cells.load_rows(value, corner + down + right, d, D, BLOCK_D).to(ACC), 1
            )
            # the second pixel of an axis, where there is only one, is zero
            dot_01 = tl.where(width > 1, dot_01, 0.0)
            dot_10 = tl.where(height > 1, dot_10, 0.0)
            dot_11 = tl.where((width > 1) & (height > 1), dot_11, 0.0)
            upper = dot_00 * left_hat + dot_01 * right_hat
            lower = dot_10 * left_hat + dot_11 * right_hat
            first = dot_00 * up_hat + dot_10 * down_hat
            second = dot_01 * up_hat + dot_11 * down_hat
            x_grad = cells.slope(x, first, second) * weight
            y_grad = cells.slope(y, upper, lower) * weight
            if not FUSED:
                x_grad *= width
                y_grad *= height
            # t_all == t, so that a thread keeps two numbers of its columns instead of eight
            here = (t_all // 4 == t // 4) & (t_all % 4 == t % 4)
            if PAIRED:
                pair = cells.paired(x_grad, y_grad, points_grad.dtype.element_ty)
                all_xy = tl.where(here, pair[:, None], all_xy)
            else:
                both = tl.where(xy % 2 == 0, x_grad[:, None], y_grad[:, None])
                all_xy = tl.where(xy // 2 == t, both, all_xy)
            all_weights = tl.where(here, (upper * up_hat + lower * down_hat)[:, None], all_weights)
        start += height * width
    if FUSED:  # the attention is taken once more: collected, it would occupy registers all along
        place = row[:, None] * T + t_all
        logits = tl.load(weights + place, mask=t_all < T, other=float("-inf")).to(ACC)
        attention = tl.exp(logits - top[:, None] - log_total[:, None])
        all_weights = attention * (all_weights - tl.sum(attention * all_weights, 1)[:, None])
    place = row[:, None] * T + t_all
    stored = (q < Q)[:, None] & (t_all < T)
    tl.store(weights_grad + place, all_weights.to(weights_grad.dtype.element_ty), mask=stored)
    if PAIRED:
        tl.store(points_grad.to(tl.pointer_type(tl.int32)) + place, all_xy, mask=stored)
    else:
        place = row[:, None] * (2 * T) + xy
        stored = (q < Q)[:, None] & (xy < 2 * T)
        tl.store(points_grad + place, all_xy.to(points_grad.dtype.element_ty), mask=stored)


@triton.jit
def value_grad_kernel(
    grad,  # (B, Q, M, D)
    shapes,  # (L, 2): height, width
    points,  # (B, Q, M, T, 2)
    weights,  # (B, Q, M, T)
    reference,  # (B, Q, L, 2), read only if FUSED
    value_grad,  # (B, S, M, D) of type ACC, zero before the launch
    S,
    Q,
    M: tl.constexpr,
    D: tl.constexpr,
    L: tl.constexpr,
    P: tl.constexpr,
    BLOCK_Q: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_T: tl.constexpr,
    FUSED: tl.constexpr,
    ACC: tl.constexpr,
):
    """Adds every output's gradient to the four pixels of its points; grid as forward.

    The additions are atomic and come in any order: two runs differ by float32 rounding.
    """
    T: tl.constexpr = L * P
    image, head, q, query, row = cells.program(Q, M, BLOCK_Q)
    d = tl.arange(0, BLOCK_D)
    value_grad += image * S * M * D + head * D + d[None, :]

    if FUSED:
        top, total = cells.softmax_terms(weights, row, T, BLOCK_T, ACC)
    g = cells.load_rows(grad, row * D, d, D, BLOCK_D).to(ACC)
    if FUSED:
        g /= total[:, None]
    added = (q < Q)[:, None] & (d < D)[None, :]
    start = 0  # first pixel of the map in S
    for level in range(L):
        height, width, ref_x, ref_y = cells.read_level(
            shapes, reference, query, level, L, FUSED, ACC
        )
        right = tl.minimum(width - 1, 1) * (M * D)
        down = tl.minimum(height - 1, 1) * width * (M * D)
        for p in tl.static_range(P):
            t = level * P + p
            place = row * T + t
            pixel, x, y = cells.read_point(
                points, place, height, width, start, ref_x, ref_y, FUSED, ACC
            )
            weight = tl.load(weights + place).to(ACC)
            if FUSED:
                weight = tl.exp(weight - top)
            left_hat, right_hat = cells.hats(x, width)
            up_hat, down_hat = cells.hats(y, height)
            up_hat *= weight
            down_hat *= weight
            corner = (pixel * (M * D))[:, None]
            tl.atomic_add(value_grad + corner, (up_hat * left_hat)[:, None] * g, added, "relaxed")
            tl.atomic_add(
                value_grad + corner + right, (up_hat * right_hat)[:, None] * g, added, "relaxed"
            )
            tl.atomic_add(
                value_grad + corner + down, (down_hat * left_hat)[:, None] * g, added, "relaxed"
            )
            tl.atomic_add(
                value_grad + corner + down + right,
                (down_hat * right_hat)[:, None] * g,
                added,
                "relaxed",
            )
        start += height * width
