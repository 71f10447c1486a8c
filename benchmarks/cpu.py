"""Our CPU path against Transformers' deformable attention and against RoIAlign by grid_sample.

    python -m benchmarks.cpu [--threads 2] [--repeats 15] [--out FILE]

Correct against float64 first; then the two are timed in turn, so that a busy machine slows both,
and medians and their ratio are printed. Fresh inputs for every repeat.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles
from typing import Any

import torch
from torch import Tensor
from transformers.models.deformable_detr.modeling_deformable_detr import (
    MultiScaleDeformableAttention,
)

from benchmarks.compare import forward_backward
from benchmarks.inputs import (
    AttentionCase,
    BoxCase,
    grid_sample_attention,
    grid_sample_roi_align,
    locations_and_weights,
    upsampled,
)
from benchmarks.record import environment, require, write
from mfd.kernels import ms_deform_attn, roi_align, roi_align_upsampled

PYRAMID = ((50, 67), (25, 34), (13, 17), (7, 9))  # 400 x 533
ATTENTION = (
    AttentionCase("image encoder, 400 x 533", 1, PYRAMID, 8, 32),
    AttentionCase("box encoder, 16 boxes", 16, ((32, 32),), 8, 16),
    AttentionCase("box encoder, 16 boxes, 12 channels per head", 16, ((32, 32),), 8, 12),
    AttentionCase("image encoder, 416 x 416, strides 16 and 32", 2, ((26, 26), (13, 13)), 8, 12),
    AttentionCase("decoder, 300 queries", 2, PYRAMID, 8, 32, queries=300),
)
BOXES = (
    BoxCase("7 boxes, 256 channels", 1, 7, (100, 134), 256),
    BoxCase("28 boxes, 96 channels", 4, 28, (104, 104), 96),
)
Call = Callable[[dict[str, Tensor]], Tensor]


def attention_calls(case: AttentionCase) -> tuple[Call, Call, tuple[str, ...]]:
    """Ours, Transformers', and the names of the inputs with a gradient."""
    shapes = torch.tensor(case.shapes)
    starts = shapes.prod(1).cumsum(0) - shapes.prod(1)
    theirs = MultiScaleDeformableAttention()

    def transformers(inputs: dict[str, Tensor]) -> Tensor:
        out = theirs(
            inputs["value"],
            shapes,
            list(case.shapes),
            starts,
            inputs["locations"],
            inputs["weights"],
            64,
        )
        return out.unflatten(-1, (case.heads, case.dim))

    def ours(inputs: dict[str, Tensor]) -> Tensor:
        return ms_deform_attn(inputs["value"], shapes, inputs["locations"], inputs["weights"])

    return ours, transformers, ("value", "locations", "weights")


def attention_inputs(case: AttentionCase) -> dict[str, Tensor]:
    inputs = case.make(torch.float32, "cpu")
    inputs["locations"], inputs["weights"] = locations_and_weights(
        torch.tensor(case.shapes), inputs["offsets"], inputs["logits"], inputs["reference"]
    )
    inputs["smooth"] = case.smooth(inputs).unflatten(-1, (len(case.shapes), case.points))
    return inputs


def box_calls(case: BoxCase, up: bool) -> tuple[Call, Call, tuple[str, ...]]:
    """RoIAlign of the stride-4 map, or of the up-sampled stride-8 map."""
    if not up:
        return (
            lambda i: roi_align(i["fine"], i["boxes"], i["images"], case.cells),
            lambda i: grid_sample_roi_align(i["fine"], i["boxes"], i["images"], case.cells),
            ("fine",),
        )
    return (
        lambda i: roi_align_upsampled(
            i["coarse"],
            i["boxes"],
            i["images"],
            case.cells,
            coarse_hw=i["coarse_hw"],
            fine_hw=i["fine_hw"],
        ),
        lambda i: grid_sample_roi_align(
            upsampled(i["coarse"], case.fine), i["boxes"], i["images"], case.cells
        ),
        ("coarse",),
    )


def compare(
    name: str, make: Callable[[], dict[str, Tensor]], calls: tuple[Call, Call, tuple[str, ...]],
    exact_call: Call, repeats: int,
) -> dict[str, Any]:  # fmt: skip
    """Medians of both, forward and forward + backward, milliseconds."""
    ours, theirs, wanted = calls
    inputs = make()
    wide = {k: v.double() if v.is_floating_point() else v for k, v in inputs.items()}
    exact = forward_backward(exact_call, wide, wanted)
    found = forward_backward(ours, inputs, wanted)
    if "locations" in wanted:
        place, keep = 1 + wanted.index("locations"), inputs["smooth"]
        found[place], exact[place] = found[place][keep], exact[place][keep]
    errors = require(name, found, exact, [1e-5] + [1e-4] * len(wanted))
    times: dict[str, list[float]] = {}
    for repeat in range(repeats + 2):
        inputs = make()
        for label, call in (("ours", ours), ("theirs", theirs)):
            with torch.no_grad():
                forward = clock(lambda call=call, inputs=inputs: call(inputs))
            total = clock(lambda call=call, inputs=inputs: forward_backward(call, inputs, wanted))
            if repeat >= 2:
                times.setdefault(f"{label} forward", []).append(forward)
                times.setdefault(f"{label} training", []).append(total)
    result: dict[str, Any] = {"case": name, "relative_errors": errors}
    for label, values in times.items():
        fifths = quantiles(values, n=10, method="inclusive")
        result[label] = {"p20": fifths[1], "median": fifths[4], "p80": fifths[7]}
    for step in ("forward", "training"):
        ratio = result[f"theirs {step}"]["median"] / result[f"ours {step}"]["median"]
        result[f"{step} ratio"] = ratio
    return result


def clock(call: Callable[[], Any]) -> float:
    """Milliseconds; of one thread its processor time, which other programs disturb less."""
    now = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = now()
    call()
    return 1e3 * (now() - start)


def main() -> None:
    """Prints one line per case and writes one JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/cpu-2-threads.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    results = []
    jobs = []
    for case in ATTENTION:
        exact = lambda i, case=case: grid_sample_attention(  # noqa: E731
            i["value"], case.shapes, i["locations"], i["weights"]
        )
        jobs.append(
            (case.name, lambda case=case: attention_inputs(case), attention_calls(case), exact)
        )
    for case in BOXES:
        for up in (False, True):
            calls = box_calls(case, up)
            name = f"RoIAlign{' of the up-sampled map' if up else ''}, {case.name}"
            make = lambda case=case: case.make(torch.float32, "cpu")  # noqa: E731
            jobs.append((name, make, calls, calls[1]))
    for name, make, calls, exact in jobs:
        result = compare(name, make, calls, exact, options.repeats)
        results.append(result)
        columns = "  ".join(
            f"{step} {result[f'ours {step}']['median']:.1f} / "
            f"{result[f'theirs {step}']['median']:.1f} ms = {result[f'{step} ratio']:.2f}x"
            for step in ("forward", "training")
        )
        print(f"{name:60} {columns}", flush=True)
    threads = f"{options.threads}-thread{'s' if options.threads > 1 else ''}"
    out = options.out or Path(__file__).parent / f"results/cpu-{threads}.json"
    write(out, {**environment("cpu"), "unit": "ms", "results": results})


if __name__ == "__main__":
    main()
