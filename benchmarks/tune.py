"""Times other tiles and register limits for the deformable attention kernels of this GPU.

    python -m benchmarks.tune

Prints medians; put better choices into `TUNING` in mfd/kernels/deform_attn/launch.py.
"""

import itertools

import torch
from triton.testing import do_bench

from benchmarks.cases import ATTENTION
from benchmarks.inputs import AttentionCase
from mfd.kernels.deform_attn import launch

TILES, REGISTERS = (512, 1024, 2048), (None, 96, 80, 64)
CASES = ATTENTION[:4]
KERNELS = ("forward", "points_grad", "value_grad")


def tune(case: AttentionCase, kernel: str) -> None:
    """One line per choice, the current one marked."""
    inputs = case.make(torch.bfloat16, "cuda")
    shapes = torch.tensor(case.shapes, device="cuda")
    arguments = (
        inputs["value"], shapes, inputs["offsets"], inputs["logits"], inputs["reference"]
    )  # fmt: skip
    needs = kernel == "value_grad", kernel == "points_grad"
    major, minor = torch.cuda.get_device_capability()
    capability = 10 * major + minor
    current = launch.tuning_of(kernel, capability)
    for choice in itertools.starmap(launch.Tuning, itertools.product(TILES, REGISTERS)):
        launch.TUNING[kernel, capability] = choice
        if kernel == "forward":
            time = do_bench(lambda: launch.forward(*arguments))
        else:
            time = do_bench(lambda: launch.backward(inputs["grad"], *arguments, *needs))
        mark = " <- current" if choice == current else ""
        print(f"{case.name:36} {kernel:12} {choice!s:40} {time:8.3f} ms{mark}", flush=True)
    launch.TUNING[kernel, capability] = current


def main() -> None:
    """Every kernel on every case."""
    if not torch.cuda.is_available():
        raise SystemExit("no GPU found: there is nothing to tune for")
    for case, kernel in itertools.product(CASES, KERNELS):
        tune(case, kernel)


if __name__ == "__main__":
    main()
