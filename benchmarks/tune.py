"""Times other tiles and register limits for the deformable attention kernels of this GPU.

    python -m benchmarks.tune

Prints medians; put better choices into `TUNING` in mfd/kernels/deform_attn/launch.py, and of the
gradient of value by tiles into `CHOICE` in launch_tiles.py beside it. At the end, both ways to sum
that gradient, and from how many points on tiles are faster: the entry of `TILED` in launch.py.
"""

import itertools

import torch
from triton.testing import do_bench

from benchmarks.cases import ATTENTION
from benchmarks.device import Gpu
from benchmarks.inputs import AttentionCase
from benchmarks.sums import arguments, tiled_from, value_sums
from mfd.kernels.deform_attn import launch, launch_tiles
from mfd.kernels.deform_attn.call import Call

TILES, REGISTERS = (512, 1024, 2048), (None, 96, 80, 72, 64)
CASES = ATTENTION[:4]
KERNELS = ("forward", "points_grad", "value_grad")
CHOICES = itertools.product((16, 32, 64), (16, 32, 64), (4, 8, 16))  # tile, chunk, bin


def tune(case: AttentionCase, kernel: str) -> None:
    """One line per choice, the current one marked."""
    grad, *inputs = arguments(case, torch.bfloat16, "cuda")
    needs = kernel == "value_grad", kernel == "points_grad"
    major, minor = torch.cuda.get_device_capability()
    capability = 10 * major + minor
    current = launch.tuning_of(kernel, capability)
    for choice in itertools.starmap(launch.Tuning, itertools.product(TILES, REGISTERS)):
        launch.TUNING[kernel, capability] = choice
        if kernel == "forward":
            time = do_bench(lambda: launch.forward(*inputs))
        else:
            time = do_bench(lambda: launch.backward(grad, *inputs, *needs))
        mark = " <- current" if choice == current else ""
        print(f"{case.name:36} {kernel:12} {choice!s:40} {time:8.3f} ms{mark}", flush=True)
    launch.TUNING[kernel, capability] = current


def tune_tiles(case: AttentionCase, choice: launch_tiles.Choice) -> None:
    """One line, marked if the choice is the current one."""
    grad, *inputs = arguments(case, torch.bfloat16, "cuda")
    current, launch_tiles.CHOICE = launch_tiles.CHOICE, choice
    time = do_bench(lambda: launch.value_grad(Call(*inputs), grad, tiles=True))
    launch_tiles.CHOICE = current
    mark = " <- current" if choice == current else ""
    print(f"{case.name:36} {'value_grad':12} {choice!s:40} {time:8.3f} ms{mark}", flush=True)


def main() -> None:
    """Every kernel on every case."""
    if not torch.cuda.is_available():
        raise SystemExit("no GPU found: there is nothing to tune for")
    for case, kernel in itertools.product(CASES, KERNELS):
        tune(case, kernel)
    for case, choice in itertools.product(CASES, itertools.starmap(launch_tiles.Choice, CHOICES)):
        tune_tiles(case, choice)
    rows = value_sums(Gpu())
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    print(f"tiles are faster from {tiled_from(rows)} points on")


if __name__ == "__main__":
    main()
