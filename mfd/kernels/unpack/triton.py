"""Triton kernel that unpacks codes of four bits; see `api`. Bound by memory: 4.5 bytes a value."""

# mypy: disable-error-code="untyped-decorator,no-untyped-def"

import triton
import triton.language as tl


@triton.jit
def forward_kernel(
    stored,  # (B, N, P) uint8
    offset,  # (B, C)
    scale,  # (B, C)
    out,  # (B, N, C)
    N,
    P,
    C,
    BLOCK_N: tl.constexpr,
    BLOCK_P: tl.constexpr,
):
    """Grid: B * blocks of positions * blocks of bytes."""
    p_blocks = tl.cdiv(P, BLOCK_P)
    n_blocks = tl.cdiv(N, BLOCK_N)
    block = tl.program_id(0) // p_blocks
    p = (tl.program_id(0) % p_blocks) * BLOCK_P + tl.arange(0, BLOCK_P)
    image = (block // n_blocks).to(tl.int64)
    n = (block % n_blocks) * BLOCK_N + tl.arange(0, BLOCK_N)
    row = (image * N + n)[:, None]
    inside = (n < N)[:, None] & (p < P)[None, :]
    byte = tl.load(stored + row * P + p[None, :], mask=inside, other=0)

    channel = image * C + p
    values = tl.load(scale + channel, mask=p < P, other=0.0)[None, :] * (byte & 15).to(tl.float32)
    values += tl.load(offset + channel, mask=p < P, other=0.0)[None, :]
    tl.store(out + row * C + p[None, :], values, mask=inside)

    high = p + P < C
    channel += P
    values = tl.load(scale + channel, mask=high, other=0.0)[None, :] * (byte >> 4).to(tl.float32)
    values += tl.load(offset + channel, mask=high, other=0.0)[None, :]
    tl.store(out + row * C + (p + P)[None, :], values, mask=inside & high[None, :])
