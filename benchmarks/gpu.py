"""The Triton kernels against their baselines on a GPU: right first, then fast.

    python -m benchmarks.gpu [--quick] [--seconds 420] [--out FILE]

First the device's own rates. Every kernel is compared with float64 on the same rounded inputs; a
wrong one is not timed. Then medians (and 20th and 80th percentiles) of forward and backward in
bfloat16 and float32, against grid_sample, the same compiled, deformops and torchvision where
installed; then a training step of the paper's head and a detector's forward pass. `--quick` runs
small shapes, on a CPU too, to try the script itself; its times mean nothing.
"""

import argparse
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.inputs import (
    AttentionCase,
    BoxCase,
    grid_sample_attention,
    grid_sample_roi_align,
    locations,
    locations_and_weights,
    upsampled,
)
from benchmarks.micro import clock, measure
from benchmarks.pipeline import detector_forward, head_step, region_route
from benchmarks.record import environment, require, write
from mfd.kernels import kernel_report, ms_deform_attn_fused, roi_align_upsampled

PYRAMID = ((100, 167), (50, 84), (25, 42), (13, 21))  # 800 x 1333
ATTENTION = (
    AttentionCase("image encoder, batch 8", 8, PYRAMID, 8, 32),
    AttentionCase("image encoder, batch 8, offsets 0.5 px", 8, PYRAMID, 8, 32, spread=0.5),
    AttentionCase("image encoder, batch 8, offsets 8 px", 8, PYRAMID, 8, 32, spread=8.0),
    AttentionCase("image encoder, batch 8, uniform", 8, PYRAMID, 8, 32, spread=None),
    AttentionCase("image encoder, batch 1", 1, PYRAMID, 8, 32),
    AttentionCase("box encoder, 56 boxes", 56, ((32, 32),), 8, 16),
    AttentionCase("box encoder, 100 boxes", 100, ((32, 32),), 8, 16),
    AttentionCase("decoder, 300 queries, batch 8", 8, PYRAMID, 8, 32, queries=300),
    AttentionCase("12 channels per head, batch 8", 8, ((26, 26), (13, 13)), 8, 12),
)
BOXES = (
    BoxCase("56 boxes, batch 8, 256 channels", 8, 56, (200, 334), 256),
    BoxCase("100 boxes, one image, 256 channels", 1, 100, (200, 334), 256),
    BoxCase("56 boxes, batch 8, odd sizes", 8, 56, (199, 301), 256),
)
QUICK_ATTENTION = (AttentionCase("quick", 1, ((6, 9), (3, 5)), 2, 12),)
QUICK_BOXES = (BoxCase("quick", 2, 3, (21, 30), 16, cells=8),)
GATES = {torch.float32: (1e-5, 1e-4), torch.bfloat16: (6e-3, 1e-2), torch.float16: (1e-3, 2e-3)}
LEAVES = ("value", "offsets", "logits")
Inputs = dict[str, Tensor]
Call = Callable[[Inputs], Tensor]


def attention_calls(case: AttentionCase, quick: bool) -> dict[str, Call]:
    """Ours and every baseline, each from the same offsets and logits."""
    cache: dict[str, Tensor] = {}

    def shapes(inputs: Inputs) -> Tensor:
        if "shapes" not in cache:
            cache["shapes"] = torch.tensor(case.shapes, device=inputs["value"].device)
            cache["starts"] = cache["shapes"].prod(1).cumsum(0) - cache["shapes"].prod(1)
        return cache["shapes"]

    def ours(i: Inputs) -> Tensor:
        return ms_deform_attn_fused(
            i["value"], shapes(i), i["offsets"], i["logits"], i["reference"]
        )

    def plain(i: Inputs) -> Tensor:
        where, weights = locations_and_weights(shapes(i), i["offsets"], i["logits"], i["reference"])
        return grid_sample_attention(i["value"], case.shapes, where, weights)

    calls: dict[str, Call] = {"ours": ours, "grid_sample": plain}
    if not quick and case.name == ATTENTION[0].name:
        calls["grid_sample compiled"] = torch.compile(plain)
    if not quick and find_spec("deformops"):
        from deformops.registry import Backend, msda

        for label, fp32acc in (("deformops, fp32 sums", True), ("deformops, own sums", False)):

            def deformops(i: Inputs, fp32acc: bool = fp32acc) -> Tensor:
                where = locations(shapes(i), i["offsets"], i["reference"])
                out = msda(  # takes the softmax in its kernel, too
                    i["value"], shapes(i), cache["starts"], where, i["logits"],
                    softmax=True, backend=Backend.TRITON, fp32acc=fp32acc,
                )  # fmt: skip
                return out.unflatten(-1, (case.heads, case.dim))

            calls[label] = deformops
    return calls


def box_calls(case: BoxCase, quick: bool) -> dict[str, Call]:
    """From the stride-8 map and the neck's map to the cells; ours never builds their sum."""

    def ours(i: Inputs) -> Tensor:
        return roi_align_upsampled(
            i["coarse"], i["boxes"], i["images"], case.cells,
            coarse_hw=i["coarse_hw"], fine_hw=i["fine_hw"], add=i["add"],
        )  # fmt: skip

    def plain(i: Inputs) -> Tensor:
        large = upsampled(i["coarse"], case.fine)
        return grid_sample_roi_align(large, i["boxes"], i["images"], case.cells) + i["add"]

    calls: dict[str, Call] = {"ours": ours, "grid_sample": plain}
    if not quick and find_spec("torchvision"):
        from torchvision.ops import roi_align as theirs

        def torchvision(i: Inputs) -> Tensor:
            large = upsampled(i["coarse"], case.fine).permute(0, 3, 1, 2)
            large = large if large.dtype != torch.bfloat16 else large.float()  # it has none
            rois = torch.cat([i["images"][:, None].to(i["boxes"]), i["boxes"]], 1).to(large)
            cells = theirs(large, rois, case.cells, 1.0, 2, True)
            return cells.permute(0, 2, 3, 1).to(i["add"]) + i["add"]

        calls["torchvision"] = torchvision
    return calls


def box_inputs(case: BoxCase, dtype: torch.dtype, device: str) -> Inputs:
    inputs = case.make(dtype, device)
    inputs["add"] = torch.randn_like(inputs["grad"])
    return inputs


def compare(
    name: str,
    make: Callable[[], Inputs],
    calls: dict[str, Call],
    leaves: tuple[str, ...],
    dtype: torch.dtype,
    device: str,
    smooth: Callable[[Inputs], Tensor] | None,
) -> dict[str, Any]:
    """Errors of ours, then times of all, milliseconds, and peak memory of a training pass.

    Where `smooth` is given, gradients of offsets are compared only where it is true.
    """
    inputs = make()
    names = (*leaves, "grad", "reference", "add")
    wide = {k: v.double() if k in names else v for k, v in inputs.items()}
    exact = forward_backward(calls["grid_sample"], wide, leaves)
    ours = forward_backward(calls["ours"], inputs, leaves)
    if smooth is not None:
        place = 1 + leaves.index("offsets")
        keep = smooth(inputs)
        exact[place], ours[place] = exact[place][keep], ours[place][keep]
    limits = [GATES[dtype][0]] + [GATES[dtype][1]] * len(leaves)
    row: dict[str, Any] = {"case": name, "dtype": str(dtype).removeprefix("torch.")}
    row["relative_errors"] = require(f"{name}, {dtype}", ours, exact, limits)
    del wide, exact, ours
    for label, call in calls.items():
        leaf = {k: v.detach().requires_grad_(k in leaves) for k, v in inputs.items()}
        wanted = [leaf[k] for k in leaves]
        with torch.no_grad():
            forward = clock(lambda call=call, leaf=leaf: call(leaf), device)
        out = call(leaf)
        backward = clock(
            lambda out=out, leaf=leaf, wanted=wanted: torch.autograd.grad(
                out, wanted, leaf["grad"], retain_graph=True
            ),
            device,
        )
        del out
        row[label] = {
            "forward": forward,
            "backward": backward,
            "peak_mb": peak_memory(
                lambda call=call: forward_backward(call, inputs, leaves), device
            ),
        }
    return row


def forward_backward(call: Call, inputs: Inputs, leaves: tuple[str, ...]) -> list[Tensor]:
    """Output and gradients."""
    leaf = {k: v.detach().requires_grad_(k in leaves) for k, v in inputs.items()}
    out = call(leaf)
    return [out, *torch.autograd.grad(out, [leaf[k] for k in leaves], leaf["grad"])]


def peak_memory(call: Callable[[], Any], device: str) -> float | None:
    """Megabytes that a call needs beyond what was there before."""
    if device != "cuda":
        return None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def show(row: dict[str, Any]) -> None:
    """One line per implementation."""
    errors = " ".join(f"{error:.0e}" for error in row["relative_errors"])
    print(f"{row['case']}, {row['dtype']}   (errors {errors})")
    for label, numbers in row.items():
        if not isinstance(numbers, dict):
            continue
        steps = []
        for step in ("forward", "backward"):
            time_ms = numbers[step]["median"]
            ratio = time_ms / row["ours"][step]["median"]
            steps.append(f"{step} {time_ms:9.3f} ms {ratio:7.2f}x")
        peak = "" if numbers["peak_mb"] is None else f"   peak {numbers['peak_mb']:8.0f} MB"
        print(f"    {label:22} {'   '.join(steps)}{peak}", flush=True)


def main() -> None:
    """Prints the table while it grows and writes one JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small shapes, to try the script")
    parser.add_argument("--seconds", type=float, default=420, help="start nothing new after this")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/gpu.json"))
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not options.quick:
        raise SystemExit("no GPU found; --quick tries the script on a CPU")
    started = time.monotonic()
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = False
    print(kernel_report(device))
    content = environment(device) | {"unit": "ms", "kernels": [], "left_out": []}
    content["rates"] = measure(device, options.quick)
    for name, rate in content["rates"].items():
        print(f"{name:60} {rate:9.1f}", flush=True)

    for part in (head_step, region_route, detector_forward):
        content[part.__name__] = part(device, options.quick)
        print(part.__name__, content[part.__name__], flush=True)
        if device == "cuda":
            torch.cuda.empty_cache()

    jobs: list[tuple[str, Any, dict[str, Call], tuple[str, ...], Any]] = []
    for case in QUICK_ATTENTION if options.quick else ATTENTION:
        jobs.append(
            (case.name, case.make, attention_calls(case, options.quick), LEAVES, case.smooth)
        )
    for box in QUICK_BOXES if options.quick else BOXES:
        make = lambda dtype, device, box=box: box_inputs(box, dtype, device)  # noqa: E731
        name = f"RoIAlign, {box.name}"
        jobs.append((name, make, box_calls(box, options.quick), ("coarse", "add"), None))
    for dtype in (torch.bfloat16, torch.float32):
        for name, make, calls, leaves, smooth in jobs:
            if time.monotonic() - started > options.seconds:
                content["left_out"].append(f"{name}, {dtype}")
                continue
            fresh = lambda make=make, dtype=dtype: make(dtype, device)  # noqa: E731
            row = compare(name, fresh, calls, leaves, dtype, device, smooth)
            content["kernels"].append(row)
            show(row)
            if device == "cuda":
                torch.cuda.empty_cache()
    content["seconds"] = time.monotonic() - started
    for left_out in content["left_out"]:
        print(f"left out for lack of time: {left_out}")
    write(options.out, content)


if __name__ == "__main__":
    main()
