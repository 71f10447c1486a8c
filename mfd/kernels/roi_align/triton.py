"""Triton kernels that read a map through tap tables, forward and backward; see `op`.

Forward: one program makes a row of cells of one box, (BLOCK_X, BLOCK_C), from the few pixels the
tables name. Backward: one program makes BLOCK_X pixels of a map's row, gathering over the boxes of
that image and over the cells that read the row: no atomics, no clearing, one store per pixel. Both
are bound by memory. Sums are float32, or float64 for float64 maps (ACC).
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def"

import triton
import triton.language as tl


@triton.jit
def forward_kernel(
    features,  # (B, H, W, C)
    y,  # (N, s, TY) int32, taps with a weight first
    y_weight,  # (N, s, TY)
    x,  # (N, s, TX) int32
    x_weight,  # (N, s, TX)
    image,  # (N,)
    add,  # (N, s, s, C), read only if ADD
    out,  # (N, s, s, C)
    H,
    W,
    C,
    s,
    TY,
    TX,
    BLOCK_X: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_TY: tl.constexpr,
    BLOCK_TX: tl.constexpr,
    ADD: tl.constexpr,
    ACC: tl.constexpr,
):
    """Grid: N * s rows of cells * blocks of channels."""
    channel_blocks = tl.cdiv(C, BLOCK_C)
    box_row = (tl.program_id(0) // channel_blocks).to(tl.int64)
    box = box_row // s
    c = (tl.program_id(0) % channel_blocks) * BLOCK_C + tl.arange(0, BLOCK_C)
    cell = tl.arange(0, BLOCK_X)
    column = box * s + tl.minimum(cell, s - 1)  # spare lanes repeat the last cell
    features += tl.load(image + box).to(tl.int64) * H * W * C
    c_inside = (c < C)[None, :]

    acc = tl.zeros([BLOCK_X, BLOCK_C], ACC)
    t_y = tl.arange(0, BLOCK_TY)  # of each axis, taps up to the last with a weight are read
    weights = tl.load(y_weight + box_row * TY + t_y, mask=t_y < TY, other=0.0)
    taps_y = tl.max(tl.where(weights != 0, t_y + 1, 0), 0)
    t_x = tl.arange(0, BLOCK_TX)[None, :]
    weights = tl.load(x_weight + column[:, None] * TX + t_x, mask=t_x < TX, other=0.0)
    taps_x = tl.max(tl.max(tl.where(weights != 0, t_x + 1, 0), 1), 0)
    u = 0
    while u < taps_x:
        pixel_x = tl.load(x + column * TX + u)
        weight_x = tl.load(x_weight + column * TX + u).to(ACC)
        t = 0
        while t < taps_y:
            pixel_y = tl.load(y + box_row * TY + t)
            weight_y = tl.load(y_weight + box_row * TY + t).to(ACC)
            place = ((pixel_y * W + pixel_x) * C)[:, None] + c[None, :]
            rows = tl.load(features + place, mask=c_inside, other=0.0).to(ACC)
            acc += (weight_x * weight_y)[:, None] * rows
            t += 1
        u += 1
    place = (box_row * s + cell)[:, None] * C + c[None, :]
    inside = (cell < s)[:, None] & c_inside
    if ADD:
        acc += tl.load(add + place, mask=inside, other=0.0).to(ACC)
    tl.store(out + place, acc.to(out.dtype.element_ty), mask=inside)


@triton.jit
def backward_kernel(
    grad,  # (N, s, s, C)
    rows,  # (N, H, s) of type ACC: what each row of cells reads of each row of pixels
    columns,  # (N, W, s) of type ACC
    first_cell,  # (N, H) int32: first row of cells that reads a row of pixels
    last_cell,  # (N, H) int32: the one after the last
    span,  # (2, N) int32: first column of pixels that a box reads, and the one after the last
    order,  # (N,) int32: boxes sorted by image
    starts,  # (B + 1,) int32: where an image's boxes begin in order
    out,  # (B, H, W, C)
    N,
    H,
    W,
    C,
    s,
    BLOCK_X: tl.constexpr,
    BLOCK_S: tl.constexpr,
    BLOCK_C: tl.constexpr,
    PRECISION: tl.constexpr,
    ACC: tl.constexpr,
):
    """Grid: B * H rows of pixels * blocks of columns * blocks of channels."""
    channel_blocks = tl.cdiv(C, BLOCK_C)
    column_blocks = tl.cdiv(W, BLOCK_X)
    block = tl.program_id(0) // channel_blocks
    c = (tl.program_id(0) % channel_blocks) * BLOCK_C + tl.arange(0, BLOCK_C)
    image_row = (block // column_blocks).to(tl.int64)
    image = image_row // H
    pixel_y = image_row % H
    x_start = (block % column_blocks) * BLOCK_X
    pixel_x = x_start + tl.arange(0, BLOCK_X)
    cell = tl.arange(0, BLOCK_S)
    read = (cell < s)[:, None] & (c < C)[None, :]
    matrix = (pixel_x < W)[:, None] & (cell < s)[None, :]

    acc = tl.zeros([BLOCK_X, BLOCK_C], ACC)
    i = tl.load(starts + image)
    end = tl.load(starts + image + 1)
    while i < end:
        box = tl.load(order + i).to(tl.int64)
        row = tl.load(first_cell + box * H + pixel_y)
        last = tl.load(last_cell + box * H + pixel_y)
        near = (tl.load(span + box) < x_start + BLOCK_X) & (tl.load(span + N + box) > x_start)
        if near & (row < last):
            line = tl.zeros([BLOCK_S, BLOCK_C], ACC)  # the box's cells, summed over their rows
            while row < last:
                weight = tl.load(rows + (box * H + pixel_y) * s + row)
                place = ((box * s + row) * s + cell)[:, None] * C + c[None, :]
                line += weight * tl.load(grad + place, mask=read, other=0.0).to(ACC)
                row += 1
            place = (box * W + pixel_x)[:, None] * s + cell[None, :]
            weights = tl.load(columns + place, mask=matrix, other=0.0)
            acc = tl.dot(weights, line, acc, input_precision=PRECISION, out_dtype=ACC)
        i += 1
    place = (image_row * W + pixel_x)[:, None] * C + c[None, :]
    tl.store(
        out + place,
        acc.to(out.dtype.element_ty),
        mask=(pixel_x < W)[:, None] & (c < C)[None, :],
    )
