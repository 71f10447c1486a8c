"""Triton kernels of the gradient of value by tiles, each pixel of which is written once.

    value_grad[s, m] = sum over points (q, t) of hat(x_t - x_s) hat(y_t - y_s) a_t grad[q, m]

The points are sorted by the pixel of their cell, BIN pixels to a bin. Then one program per TILE
successive pixels of a map multiplies hats (TILE, points) by gradients (points, D), for all points
whose cells begin in its pixels, one before or a line above: no additions to memory, nothing to
clear and nothing to cast. Points that reach no pixel are left out.

The order of the sums is fixed and two runs agree in every bit: successive queries of a head and
level are one run, whose points one thread takes one after the other, and each run has a counter of
its own in every bin. Sums are float32, or float64 for float64 inputs (ACC). A gradient that is not
finite makes NaN of a whole tile.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def"

import triton
import triton.language as tl

from mfd.kernels.deform_attn import cells


@triton.jit
def sort_kernel(
    shapes,  # (L, 2): height, width
    points,  # (B, Q, M, T, 2)
    weights,  # (B, Q, M, T)
    reference,  # (B, Q, L, 2), read only if FUSED
    table,  # (B, M, BINS, RUNS) int32: zeros; with PLACE the running totals of what was counted
    records,  # (B * Q * M * T, 4) of type BITS: query, x, y, weight; written only with PLACE
    Q,
    BINS,
    RUN,
    RUNS,
    M: tl.constexpr,
    L: tl.constexpr,
    P: tl.constexpr,
    BIN: tl.constexpr,
    BLOCK: tl.constexpr,
    BLOCK_P: tl.constexpr,
    BLOCK_T: tl.constexpr,
    PLACE: tl.constexpr,
    FUSED: tl.constexpr,
    ACC: tl.constexpr,
    BITS: tl.constexpr,
):
    """Counts the points of every bin and run, or places them; grid: B * blocks of (RUNS, M, L).

    Placing counts every total down to where its bin and run starts. Only one thread adds to a
    counter, so what an addition returns does not depend on the others.
    """
    T: tl.constexpr = L * P
    total = RUNS * (M * L)
    blocks = tl.cdiv(total, BLOCK)
    image = (tl.program_id(0) // blocks).to(tl.int64)
    thread = (tl.program_id(0) % blocks) * BLOCK + tl.arange(0, BLOCK)
    spare = thread >= total
    thread = tl.minimum(thread, total - 1)
    level = thread % L
    head = thread // L % M
    run = thread // (L * M)
    p = tl.arange(0, BLOCK_P)[None, :]

    height = tl.load(shapes + 2 * level).to(tl.int32)
    width = tl.load(shapes + 2 * level + 1).to(tl.int32)
    first = tl.zeros([BLOCK], tl.int32)  # bin of the level
    for other in range(L):
        area = tl.load(shapes + 2 * other).to(tl.int32) * tl.load(shapes + 2 * other + 1).to(
            tl.int32
        )
        first += tl.where(other < level, tl.cdiv(area, BIN), 0)
    table += image * M * BINS * RUNS + ((head * BINS + first) * RUNS + run)[:, None]

    end = tl.where(spare, 0, tl.minimum(run * RUN + RUN, Q))
    step = 0
    while step < RUN:
        q = run * RUN + step
        query = image * Q + tl.minimum(q, Q - 1)
        row = query * M + head
        x, y = 0.0, 0.0
        if FUSED:
            x = tl.load(reference + (query * L + level) * 2).to(ACC)[:, None]
            y = tl.load(reference + (query * L + level) * 2 + 1).to(ACC)[:, None]
        place = (row * T + level * P)[:, None] + p
        real = (q < end)[:, None] & (p < P)
        point_x = tl.load(points + 2 * place, real, float("nan")).to(ACC)
        point_y = tl.load(points + 2 * place + 1, real, float("nan")).to(ACC)
        column, x = cells.axis(point_x, x, width[:, None], FUSED)
        line, y = cells.axis(point_y, y, height[:, None], FUSED)
        counted = (tl.abs(x - 0.5) < 1.5) & (tl.abs(y - 0.5) < 1.5)  # within a pixel of the cell
        counter = (line * width[:, None] + column) // BIN * RUNS
        if PLACE:
            weight = tl.load(weights + place, real, 0.0).to(ACC)
            if FUSED:
                top, exps = cells.softmax_terms(weights, row, T, BLOCK_T, ACC)
                weight = tl.exp(weight - top[:, None]) / exps[:, None]
            slot = tl.zeros([BLOCK, BLOCK_P], tl.int32)
            for this in tl.static_range(P):
                here = p == this
                one = tl.sum(tl.where(here & counted, -1, 0), 1)[:, None]
                where = table + tl.sum(tl.where(here, counter, 0), 1)[:, None]
                slot = tl.where(here, tl.atomic_add(where, one, one != 0, "relaxed") - 1, slot)
            x = (column.to(ACC) + x).to(BITS, bitcast=True)
            y = (line.to(ACC) + y).to(BITS, bitcast=True)
            q_x = tl.join((q[:, None] + tl.zeros([BLOCK, BLOCK_P], tl.int32)).to(BITS), x)
            record = tl.join(q_x, tl.join(y, weight.to(BITS, bitcast=True)))
            record = tl.reshape(tl.permute(record, (0, 1, 3, 2)), [BLOCK, BLOCK_P, 4])
            place = slot.to(tl.int64)[:, :, None] * 4 + tl.arange(0, 4)[None, None, :]
            tl.store(records + place, record, counted[:, :, None])
        else:
            tl.atomic_add(table + counter, 1, counted, "relaxed")
        step += 1


@triton.jit
def tile_kernel(
    grad,  # (B, Q, M, D)
    shapes,  # (L, 2): height, width
    table,  # (B, M, BINS, RUNS) int32: where each bin and run starts, then the end of all
    records,  # (B * Q * M * T, 4) of an integer type: query, x, y, weight
    value_grad,  # (B, S, M, D)
    S,
    Q,
    BINS,
    RUNS,
    TILES,
    M: tl.constexpr,
    D: tl.constexpr,
    L: tl.constexpr,
    BIN: tl.constexpr,
    TILE: tl.constexpr,
    CHUNK: tl.constexpr,
    BLOCK_D: tl.constexpr,
    PRECISION: tl.constexpr,
    ACC: tl.constexpr,
):
    """The pixels of a tile, CHUNK points at a time; grid: B * M * TILES, small maps first."""
    image_head = (tl.program_id(0) // TILES).to(tl.int64)
    image = image_head // M
    head = image_head % M
    tile = TILES - 1 - tl.program_id(0) % TILES
    height, width, start, bins, begin = 0, 0, 0, 0, 0
    next_start, next_bins, next_tiles = 0, 0, 0
    for level in range(L):
        lines = tl.load(shapes + 2 * level).to(tl.int32)
        columns = tl.load(shapes + 2 * level + 1).to(tl.int32)
        reached = tile >= next_tiles
        height = tl.where(reached, lines, height)
        width = tl.where(reached, columns, width)
        start = tl.where(reached, next_start, start)  # first pixel of the map in S
        bins = tl.where(reached, next_bins, bins)  # its first bin
        begin = tl.where(reached, (tile - next_tiles) * TILE, begin)  # first pixel in the map
        next_start += lines * columns
        next_bins += tl.cdiv(lines * columns, BIN)
        next_tiles += tl.cdiv(lines * columns, TILE)
    area = height * width
    stop = tl.minimum(begin + TILE, area)

    # bins of cells whose lower pixels may lie here, and of further ones whose upper pixels may
    above = tl.maximum(begin - width - 1, 0) // BIN
    above_end = tl.cdiv(tl.maximum(stop - width, 0), BIN)
    here = tl.maximum(tl.maximum(begin - 1, 0) // BIN, above_end)
    here_end = tl.maximum(tl.cdiv(stop, BIN), here)
    table += (image_head * BINS + bins) * RUNS
    from_above = tl.load(table + above * RUNS)
    from_here = tl.load(table + here * RUNS)
    end_above = tl.load(table + above_end * RUNS) - from_above
    end = end_above + tl.load(table + here_end * RUNS) - from_here
    end = tl.where(begin < area, end, 0)  # a program too many

    s = begin + tl.arange(0, TILE)
    x = (s % width).to(ACC)[:, None]
    y = (s // width).to(ACC)[:, None]
    d = tl.arange(0, BLOCK_D)
    grad += image * Q * M * D + head * D
    acc = tl.zeros([TILE, BLOCK_D], ACC)
    done = 0
    while done < end:
        point = done + tl.arange(0, CHUNK)
        used = point < end
        slot = tl.where(point < end_above, from_above + point, from_here + point - end_above)
        place = slot.to(tl.int64)[:, None] * 4 + tl.arange(0, 4)[None, :]
        record = tl.load(records + place, used[:, None], 0)
        even, odd = tl.split(tl.reshape(record, [CHUNK, 2, 2]))
        query, point_y = tl.split(even)
        point_x, weight = tl.split(odd)
        point_x = point_x.to(ACC, bitcast=True)[None, :]
        point_y = point_y.to(ACC, bitcast=True)[None, :]
        weight = weight.to(ACC, bitcast=True)[None, :]
        place = query[:, None] * (M * D) + d[None, :]
        rows = tl.load(grad + place, used[:, None] & (d < D)[None, :], 0.0).to(ACC)
        hats = tl.maximum(1.0 - tl.abs(point_y - y), 0.0) * weight
        hats *= tl.maximum(1.0 - tl.abs(point_x - x), 0.0)
        acc = tl.dot(hats, rows, acc, input_precision=PRECISION, out_dtype=ACC)
        done += CHUNK
    place = ((image * S + start + s) * M + head)[:, None] * D + d[None, :]
    tl.store(
        value_grad + place,
        acc.to(value_grad.dtype.element_ty),
        mask=(s < area)[:, None] & (d < D)[None, :],
    )
