"""Triton kernels around the tap tables: they are made in one launch, and laid out in another.

What `taps` does in some fifty launches, and what the backward pass needs of the tables: matrices,
spans, and the boxes by image.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def"

import triton
import triton.language as tl


@triton.jit
def _nearest(where, last):
    """The pixel at or before `where`, and the distance from it; at most pixel `last`."""
    where = tl.maximum(where, 0.0)
    first = tl.minimum(tl.floor(where), last)
    return first, where - first


@triton.jit
def taps_kernel(
    boxes,  # (N, 4): x0, y0, x1, y1
    image,  # (N,)
    fine_hw,  # (B, 2)
    coarse_hw,  # (B, 2), read only if UP
    pixel,  # (2, N, s, T) int32: vertical taps, then horizontal ones
    weight,  # (2, N, s, T) of type ACC
    N,
    s,
    T: tl.constexpr,
    SAMPLES: tl.constexpr,
    BLOCK_S: tl.constexpr,
    BLOCK_T: tl.constexpr,
    ALIGNED: tl.constexpr,
    UP: tl.constexpr,
    ACC: tl.constexpr,
):
    """The merged taps of one box along one axis; grid: 2 * N."""
    axis = tl.program_id(0) // N
    box = tl.program_id(0) % N
    low = tl.load(boxes + box * 4 + 1 - axis).to(ACC)
    high = tl.load(boxes + box * 4 + 3 - axis).to(ACC)
    own = 2 * tl.load(image + box) + axis
    size = tl.load(fine_hw + own).to(ACC)
    if ALIGNED:
        low -= 0.5
        high -= 0.5
        length = high - low
    else:
        length = tl.maximum(high - low, 1.0)
    finite = (tl.abs(low) < float("inf")) & (tl.abs(high) < float("inf"))
    low = tl.where(finite, low, -2.0)  # outside of every map
    length = tl.where(finite, length, 0.0)

    cell = tl.arange(0, BLOCK_S)
    t = tl.arange(0, BLOCK_T)
    step = t // (4 if UP else 2)
    inner = (step.to(ACC) + 0.5) / SAMPLES
    where = low + (cell.to(ACC)[:, None] + inner[None, :]) * (length / s)
    inside = (where >= -1) & (where <= size) & (t < T)[None, :]
    first, fraction = _nearest(tl.minimum(where, size - 1), size - 1)
    upper = ((t // (2 if UP else 1)) % 2 == 1)[None, :]
    share = tl.where(upper, fraction, 1.0 - fraction) * (inside.to(ACC) / SAMPLES)
    place = tl.where(upper, tl.minimum(first + 1, size - 1), first)
    if UP:
        coarse = tl.load(coarse_hw + own).to(ACC)
        first, fraction = _nearest((place + 0.5) * (coarse / size) - 0.5, coarse - 1)
        upper = (t % 2 == 1)[None, :]
        share *= tl.where(upper, fraction, 1.0 - fraction)
        place = tl.where(upper, tl.minimum(first + 1, coarse - 1), first)
    place = tl.where((t < T)[None, :], tl.maximum(place, 0.0).to(tl.int32), 2147483647)

    same = place[:, :, None] == place[:, None, :]
    earlier = (t[None, :] < t[:, None])[None, :, :]
    is_first = (tl.sum((same & earlier).to(tl.int32), 2) == 0) & (t < T)[None, :]
    merged = tl.sum(tl.where(same, share[:, None, :], 0.0), 2)
    before = (place[:, None, :] < place[:, :, None]) & is_first[:, None, :]
    slot = tl.sum(before.to(tl.int32), 2)
    used = tl.sum(is_first.to(tl.int32), 1)
    row = ((tl.program_id(0).to(tl.int64) * s + cell) * T)[:, None]
    real = (cell < s)[:, None]
    tl.store(pixel + row + slot, place, mask=real & is_first)
    tl.store(weight + row + slot, merged, mask=real & is_first)
    spare = real & (t[None, :] >= used[:, None]) & (t < T)[None, :]
    tl.store(pixel + row + t[None, :], tl.zeros([BLOCK_S, BLOCK_T], tl.int32), mask=spare)
    tl.store(weight + row + t[None, :], tl.zeros([BLOCK_S, BLOCK_T], ACC), mask=spare)


@triton.jit
def layout_kernel(
    y,  # (N, s, TY) int32
    y_weight,  # (N, s, TY)
    x,  # (N, s, TX) int32
    x_weight,  # (N, s, TX)
    image,  # (N,)
    rows,  # (N, H, s): what each row of cells reads of each row of pixels
    columns,  # (N, W, s)
    first_cell,  # (N, H) int32: first row of cells that reads a row of pixels
    last_cell,  # (N, H) int32: the one after the last
    span,  # (2, N) int32: first column of pixels that a box reads, and the one after the last
    order,  # (N,) int32: boxes sorted by image
    starts,  # (B + 1,) int32: where an image's boxes begin in order
    N,
    B,
    H,
    W,
    s,
    TY,
    TX,
    BLOCK_N: tl.constexpr,
    BLOCK_L: tl.constexpr,
    BLOCK_S: tl.constexpr,
    ACC: tl.constexpr,
):
    """What the backward kernel reads; grid: 2 * N times blocks of the longer side."""
    blocks = tl.num_programs(0) // (2 * N)
    axis = tl.program_id(0) // (N * blocks)
    box = (tl.program_id(0) // blocks % N).to(tl.int64)
    start = (tl.program_id(0) % blocks) * BLOCK_L
    n = tl.arange(0, BLOCK_N)
    images = tl.load(image + n, mask=n < N, other=0)
    cell = tl.arange(0, BLOCK_S)
    line = start + tl.arange(0, BLOCK_L)
    if axis == 0:
        y += box * s * TY
        y_weight += box * s * TY
        matrix = _matrix(y, y_weight, s, TY, line, cell, BLOCK_L, BLOCK_S, ACC)
        place = (box * H + line)[:, None] * s + cell[None, :]
        tl.store(rows + place, matrix, mask=(line < H)[:, None] & (cell < s)[None, :])
        first = tl.min(tl.where(matrix != 0, cell[None, :], s), 1)
        last = tl.max(tl.where(matrix != 0, cell[None, :] + 1, 0), 1)
        tl.store(first_cell + box * H + line, first, mask=line < H)
        tl.store(last_cell + box * H + line, last, mask=line < H)
        if start == 0:
            own = tl.load(image + box)
            before = (images < own) | ((images == own) & (n < box))
            rank = tl.sum((before & (n < N)).to(tl.int32), 0)
            tl.store(order + rank, box.to(tl.int32))
    else:
        x += box * s * TX
        x_weight += box * s * TX
        matrix = _matrix(x, x_weight, s, TX, line, cell, BLOCK_L, BLOCK_S, ACC)
        place = (box * W + line)[:, None] * s + cell[None, :]
        tl.store(columns + place, matrix, mask=(line < W)[:, None] & (cell < s)[None, :])
        if start == 0:
            left = tl.full([BLOCK_S], 2147483647, tl.int32)
            right = tl.zeros([BLOCK_S], tl.int32)
            t = 0
            while t < TX:
                read = tl.load(x_weight + cell * TX + t, mask=cell < s, other=0.0) != 0
                column = tl.load(x + cell * TX + t, mask=cell < s, other=0)
                left = tl.where(read, tl.minimum(left, column), left)
                right = tl.where(read, tl.maximum(right, column + 1), right)
                t += 1
            tl.store(span + box, tl.min(left, 0))
            tl.store(span + N + box, tl.max(right, 0))
    number = tl.program_id(0)
    while number <= B:
        below = (images < number) & (n < N)
        tl.store(starts + number, tl.sum(below.to(tl.int32), 0))
        number += tl.num_programs(0)


@triton.jit
def _matrix(pixel, weight, s, T, line, cell, BLOCK_L: tl.constexpr, BLOCK_S: tl.constexpr,
            ACC: tl.constexpr):  # fmt: skip
    """(BLOCK_L, BLOCK_S) what each cell reads of each pixel of a line, from a table (s, T)."""
    matrix = tl.zeros([BLOCK_L, BLOCK_S], ACC)
    t = 0
    while t < T:
        read = tl.load(pixel + cell * T + t, mask=cell < s, other=-1)
        share = tl.load(weight + cell * T + t, mask=cell < s, other=0.0).to(ACC)
        matrix += tl.where(line[:, None] == read[None, :], share[None, :], 0.0)
        t += 1
    return matrix
