"""What the device does at most: copies, additions to memory, reads of scattered rows.

The floors of the kernels follow from these rates: the gradient of value adds four rows per point,
the forward kernel reads four.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def"

import torch
import triton
import triton.language as tl

from benchmarks.device import Gpu
from mfd.kernels.dispatch import interpreted

WIDTH = 32  # channels of a head
ROWS = {"23 MB": 177_784, "182 MB": 1_422_272}  # of 32 float32: one image, eight images
QUERIES = 1_000_000
PER_QUERY = 16


@triton.jit
def add_rows(target, rows, count, width: tl.constexpr, block: tl.constexpr):
    """target[rows[n]] += 1 for every n."""
    n = tl.program_id(0) * block + tl.arange(0, block)
    row = tl.load(rows + tl.minimum(n, count - 1))
    place = row[:, None] * width + tl.arange(0, width)[None, :]
    one = tl.full([block, width], 1.0, target.dtype.element_ty)
    tl.atomic_add(target + place, one, mask=(n < count)[:, None], sem="relaxed")


@triton.jit
def read_rows(
    source, rows, out, count, per: tl.constexpr, width: tl.constexpr, block: tl.constexpr
):
    """out[n] = sum over k of source[rows[n, k]]."""
    n = tl.minimum(tl.program_id(0) * block + tl.arange(0, block), count - 1)
    channel = tl.arange(0, width)[None, :]
    total = tl.zeros([block, width], tl.float32)
    for k in tl.static_range(per):
        row = tl.load(rows + n * per + k)
        total += tl.load(source + row[:, None] * width + channel).to(tl.float32)
    tl.store(out + n[:, None] * width + channel, total.to(out.dtype.element_ty))


def measure(device: Gpu) -> dict[str, float]:
    """GB/s of copies and of row reads, 10^9 additions/s; without a GPU only the copies."""
    rates = {"copy, GB/s": copy_bandwidth(device, 10 if device.small else 2000)}
    if device.name == "cpu" and not interpreted():
        return rates
    queries = 64 if device.small else QUERIES
    for size, rows in {"quick": 128}.items() if device.small else ROWS.items():
        for order, where in scattered(queries, rows, device.name).items():
            for kind, dtype, warps in (
                ("single float32", torch.float32, 32),
                ("vectors of float32", torch.float32, 8),
                ("vectors of bfloat16", torch.bfloat16, 4),
            ):
                if (device.name, dtype) == ("cpu", torch.bfloat16):
                    continue  # the interpreter has no such addition
                target = torch.zeros(rows, WIDTH, dtype=dtype, device=device.name)
                grid = (triton.cdiv(where.numel(), 32),)
                run = lambda grid=grid, t=target, w=where, warps=warps: add_rows[grid](  # noqa: E731
                    t, w, w.numel(), WIDTH, 32, num_warps=warps
                )
                rate = where.numel() * WIDTH / device.clock(run)["median"] / 1e6
                rates[f"additions of {kind}, {order}, {size}, 10^9/s"] = rate
            source = torch.randn(rows, WIDTH, device=device.name).bfloat16()
            out = source.new_empty(queries, WIDTH)
            grid = (triton.cdiv(queries, 32),)
            run = lambda grid=grid, s=source, w=where, o=out: read_rows[grid](  # noqa: E731
                s, w, o, queries, PER_QUERY, WIDTH, 32, num_warps=4
            )
            rate = where.numel() * WIDTH * 2 / device.clock(run)["median"] / 1e6
            rates[f"reads of bfloat16 rows, {order}, {size}, GB/s"] = rate
    return rates


def scattered(queries: int, rows: int, device: str) -> dict[str, torch.Tensor]:
    """Row numbers (queries, 16): anywhere, and near those of the neighbouring queries."""
    anywhere = torch.randint(rows, (queries, PER_QUERY), device=device, dtype=torch.int32)
    centre = torch.arange(queries, device=device)[:, None] * rows // queries
    near = (centre + torch.randint(-32, 33, anywhere.shape, device=device)).clamp(0, rows - 1)
    return {"anywhere": anywhere, "near": near.int()}


def copy_bandwidth(device: Gpu, megabytes: int) -> float:
    """GB/s of a copy on the device, bytes read and written."""
    source = torch.randn(megabytes * 250_000, device=device.name)
    target = torch.empty_like(source)
    return 2 * source.nbytes / device.clock(lambda: target.copy_(source))["median"] / 1e6
