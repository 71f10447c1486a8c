"""What the three Triton kernels of multi-scale deformable attention share, from programs to cells.

Every point reads the 2 x 2 cell nearest to it inside the map, with the hats `max(0, 1 - |d|)` as
weights: no load is masked and none can leave the map, not even for NaN, which is replaced, or
1e30. A pixel that is not finite leaks NaN through a weight of zero.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def"

import triton
import triton.language as tl


@triton.jit
def load_rows(pointer, offset, d, D: tl.constexpr, BLOCK_D: tl.constexpr):
    """(BLOCK_Q, BLOCK_D) rows of D channels, zero beyond them."""
    if D == BLOCK_D:
        return tl.load(pointer + offset[:, None] + d[None, :])
    return tl.load(pointer + offset[:, None] + d[None, :], mask=(d < D)[None, :], other=0.0)


@triton.jit
def softmax_terms(weights, row, T: tl.constexpr, BLOCK_T: tl.constexpr, ACC: tl.constexpr):
    """Largest logit and the sum of exponentials of every query."""
    t = tl.arange(0, BLOCK_T)
    logits = tl.load(
        weights + row[:, None] * T + t[None, :], mask=(t < T)[None, :], other=float("-inf")
    ).to(ACC)
    top = tl.max(logits, 1)
    return top, tl.sum(tl.exp(logits - top[:, None]), 1)


@triton.jit
def program(Q, M: tl.constexpr, BLOCK_Q: tl.constexpr):
    """Image, head and queries of this program; rows count (image, query, head)."""
    blocks = tl.cdiv(Q, BLOCK_Q)
    image_head = tl.program_id(0) // blocks
    image = (image_head // M).to(tl.int64)
    head = image_head % M
    q = (tl.program_id(0) % blocks) * BLOCK_Q + tl.arange(0, BLOCK_Q)
    query = image * Q + tl.minimum(q, Q - 1)  # the last block repeats its last query
    return image, head, q, query, query * M + head


@triton.jit
def read_level(
    shapes, reference, query, level, L: tl.constexpr, FUSED: tl.constexpr, ACC: tl.constexpr
):
    """Height and width of a map, and the reference points on it."""
    height = tl.load(shapes + 2 * level).to(tl.int32)
    width = tl.load(shapes + 2 * level + 1).to(tl.int32)
    x, y = 0.0, 0.0
    if FUSED:
        x = tl.load(reference + query * (2 * L) + 2 * level).to(ACC)
        y = tl.load(reference + query * (2 * L) + 2 * level + 1).to(ACC)
    return height, width, x, y


@triton.jit
def axis(point, reference, size, FUSED: tl.constexpr):
    """Index of the lower of the two nearest pixels along an axis, and the distance from it."""
    if FUSED:
        point += reference * size
    else:
        point *= size
    point -= 0.5
    point = tl.where(point == point, point, -2.0)  # NaN: where every hat is zero
    low = tl.minimum(tl.maximum(tl.floor(point), 0.0), tl.maximum(size - 2, 0).to(tl.float32))
    return low.to(tl.int32), point - low


@triton.jit
def read_point(points, place, height, width, start, reference_x, reference_y,
           FUSED: tl.constexpr, ACC: tl.constexpr):  # fmt: skip
    """Pixel of S at the upper left of a point's cell, and the distances from it."""
    x = tl.load(points + 2 * place).to(ACC)
    y = tl.load(points + 2 * place + 1).to(ACC)
    column, x = axis(x, reference_x, width, FUSED)
    line, y = axis(y, reference_y, height, FUSED)
    return start + line * width + column, x, y


@triton.jit
def paired(x, y, element: tl.constexpr):
    """Two numbers of 16 bits in one of 32, x in its lower half, where it lies first in memory."""
    low = x.to(element).to(tl.int16, bitcast=True).to(tl.int32) & 0xFFFF
    return low | (y.to(element).to(tl.int16, bitcast=True).to(tl.int32) << 16)


@triton.jit
def hats(distance, size):
    """Weights of the two pixels; the second is zero where there is only one."""
    has_next = tl.where(size > 1, 1.0, 0.0)
    first = tl.maximum(1.0 - tl.abs(distance), 0.0)
    second = tl.maximum(has_next - tl.abs(distance - 1.0), 0.0)
    return first, second


@triton.jit
def slope(distance, first, second):
    """Derivative of hat(d) * first + hat(d - 1) * second, at a kink the one to the right."""
    rising = tl.where(distance < 0.0, first, second - first)
    slope = tl.where(distance < 1.0, rising, -second)
    return tl.where((distance >= -1.0) & (distance < 2.0), slope, 0.0)
