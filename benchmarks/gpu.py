"""The first day on a GPU in one command: right first, then fast.

    python -m benchmarks.gpu [--seconds 420] [--out FILE] [--dry-run]

Small cases of every kernel are compared with float64 before anything is timed, and each case again
before its own times; a wrong one is not timed and the exit code is 1. Then, most important first: a
training step of the paper's head, launch by launch, as graphs and compiled (time, memory, launches,
shares), the kernels against grid_sample, the same compiled, deformops and torchvision, the device's
own rates, both ways to sum the gradient of value, a detector's forward pass. A missing peer, a full
memory or the end of the time cost only what they concern, and are reported. Written are a JSON file
and, beside it, a Markdown table. `--dry-run` runs every line on a CPU, on small shapes, with times
that are made up.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.cases import ATTENTION, BOXES, NORMS, SMALL_ATTENTION, SMALL_BOXES, SMALL_NORMS
from benchmarks.compare import (
    Job,
    WrongResultError,
    attention_job,
    box_job,
    errors,
    norm_job,
    times,
)
from benchmarks.device import Gpu, Pretended
from benchmarks.micro import measure
from benchmarks.peers import missing
from benchmarks.pipeline import detector_forward, region_route
from benchmarks.plan import Plan
from benchmarks.record import environment, write
from benchmarks.steps import head_step
from benchmarks.sums import tiled_from, value_sums
from benchmarks.table import markdown
from mfd.kernels import kernel_report


def main() -> int:
    """0 if every kernel that was compared is right."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dry-run", action="store_true", help="on a CPU, with made-up times")
    parser.add_argument("--seconds", type=float, default=420, help="start nothing new after this")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/gpu.json"))
    options = parser.parse_args()
    device: Gpu = Pretended() if options.dry_run else Gpu()
    if not options.dry_run and not torch.cuda.is_available():
        raise SystemExit("no GPU found; --dry-run tries the script on a CPU")
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = False
    plan = Plan(options.seconds, device)
    content = environment(device.name) | {"unit": "ms", "kernel_report": kernel_report(device.name)}
    content |= {"dry_run": options.dry_run, "wrong": [], "kernels": []}
    for line in missing("deformops", "torchvision"):
        plan.leave_out(*line.split(": "))

    small = (SMALL_ATTENTION, SMALL_BOXES, SMALL_NORMS)
    for job in jobs(*small, device):
        check(job, content, plan)
    content["head_step"] = attempt(
        "head step",
        lambda: head_step(device, lambda name, call: attempt(name, call, content, plan)),
        content,
        plan,
    )
    todo = jobs(*(small if device.small else (ATTENTION, BOXES, NORMS)), device)
    for job in todo[:3]:
        compare(job, content, plan, device)
    for part in (measure, value_sums, region_route, detector_forward):
        content[part.__name__] = attempt(
            part.__name__, lambda part=part: part(device), content, plan
        )
        device.clear()
    content["tiled_from"] = tiled_from(content["value_sums"] or [])
    for job in todo[3:]:
        compare(job, content, plan, device)

    content |= {"left_out": plan.left_out, "seconds": plan.elapsed}
    write(options.out, content)
    table = markdown(content)
    options.out.with_suffix(".md").write_text(table, encoding="utf-8")
    print(table)
    return 1 if content["wrong"] else 0


def jobs(attention: Any, boxes: Any, norms: Any, device: Gpu) -> list[Job]:
    """All cases; in bfloat16 first the two attentions and RoIAlign of a training step."""
    found = []
    for dtype in (torch.bfloat16, torch.float32, torch.float16):
        of_dtype = [
            attention_job(case, dtype, device, compiled=number == 0 and dtype == torch.bfloat16)
            for number, case in enumerate(attention)
        ]
        of_dtype[2:2] = [box_job(case, dtype, device) for case in boxes]
        found += of_dtype + [norm_job(case, dtype, device) for case in norms]
    return found


def check(job: Job, content: dict[str, Any], plan: Plan) -> list[float] | None:
    """Errors of ours; None, and the case among the wrong ones, where they are too large."""
    return attempt(f"{job.name}, {job.dtype}", lambda: errors(job), content, plan)


def attempt(name: str, call: Callable[[], Any], content: dict[str, Any], plan: Plan) -> Any:
    """What `call` returns; None, and a line among the wrong ones, where it finds ours wrong."""
    try:
        return plan.attempt(name, call)
    except WrongResultError as error:
        content["wrong"].append(f"{name}: {error}")
        print(f"WRONG: {content['wrong'][-1]}", flush=True)
        return None


def compare(job: Job, content: dict[str, Any], plan: Plan, device: Gpu) -> None:
    """One row of the table, if ours is right."""
    found = check(job, content, plan)
    device.clear()
    if found is None:
        return
    row = {"case": job.name, "dtype": str(job.dtype).removeprefix("torch.")}
    content["kernels"].append(row | {"relative_errors": found, "of": times(job, device, plan)})
    print(f"{job.name}, {job.dtype}: done after {plan.elapsed:.0f} s", flush=True)
    device.clear()


if __name__ == "__main__":
    raise SystemExit(main())
