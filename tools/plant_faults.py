"""Plants faults in copies of the kernels, one at a time, and shows that the tests catch each.

    python tools/plant_faults.py [--only NAME] [--out FILE]

Exits with 1 if a fault survives, or if the tests fail without one.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
SAMPLING, READING, TAPS = "deform_attn_triton.py", "roi_triton.py", "roi_taps.py"
LAUNCH = "deform_attn_launch.py"
TESTS = ("test_roi_taps.py", "test_launch.py", "test_roi_align.py", "test_deform_attn.py")


class Fault(NamedTuple):
    """One mistake: what stands in a file of `mfd/kernels`, and what stands there by mistake."""

    name: str
    file: str
    right: str
    wrong: str


FAULTS = (
    Fault(
        "axes swapped",
        SAMPLING,
        "column, x = _axis(x, reference_x, width, FUSED)",
        "column, x = _axis(x, reference_x, height, FUSED)",
    ),
    Fault("half a pixel off", SAMPLING, "    point -= 0.5\n", ""),
    Fault(
        "points outside not masked",
        SAMPLING,
        "first = tl.maximum(1.0 - tl.abs(distance), 0.0)",
        "first = 1.0 - tl.abs(distance)",
    ),
    Fault(
        "neighbour beyond a map of one pixel",
        SAMPLING,
        "has_next = tl.where(size > 1, 1.0, 0.0)",
        "has_next = 1.0",
    ),
    Fault("level offset lost", SAMPLING, "return start + line * width", "return line * width"),
    Fault("next level at the same place", SAMPLING, "        start += height * width\n", ""),
    Fault("rows as long as columns", SAMPLING, "start + line * width", "start + line * height"),
    Fault("wrong head stride", SAMPLING, "S * M * D + head * D\n", "S * M * D + head\n"),
    Fault(
        "softmax not normalised",
        SAMPLING,
        "        acc /= total[:, None]\n",
        "        acc /= 1.0\n",
    ),
    Fault(
        "softmax gradient without its mean",
        SAMPLING,
        "all_weights = attention * (all_weights - tl.sum(attention * all_weights, 1)[:, None])",
        "all_weights = attention * all_weights",
    ),
    Fault(
        "spare queries of the last block added",
        SAMPLING,
        "added = (q < Q)[:, None] & (d < D)[None, :]",
        "added = (q >= 0)[:, None] & (d < D)[None, :]",
    ),
    Fault(
        "gradient in pixels instead of map sizes",
        SAMPLING,
        "                x_grad *= width\n",
        "",
    ),
    Fault(
        "gradient of value not cleared first",
        LAUNCH,
        "of_value = torch.zeros(",
        "of_value = torch.empty(",
    ),
    Fault("first image read for all boxes", READING, "tl.load(image + box)", "tl.load(image)"),
    Fault("last row of cells forgotten", READING, "while row < last:", "while row < last - 1:"),
    Fault("boxes taken in the order given", READING, "box = tl.load(order + i)", "box = i"),
    Fault("up-sampling past the border", TAPS, " * ratio - 0.5).clamp(min=0)", " * ratio - 0.5)"),
)


def main() -> int:
    """The number of faults that survive, at most 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="plant only the fault of this name")
    parser.add_argument("--out", type=Path, help="write the results there as JSON")
    options = parser.parse_args()
    faults = [f for f in FAULTS if options.only in (None, f.name)]
    results = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for part in ("mfd", "tests"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        if not options.only and (failed := failing_test(copy)):
            print(f"without any fault {failed} fails")
            return 1
        for fault in faults:
            results.append(plant(fault, copy))
            print(json.dumps(results[-1]), flush=True)
    caught = sum(result["caught_by"] is not None for result in results)
    print(f"{caught} of {len(results)} faults caught")
    if options.out:
        options.out.write_text(json.dumps(results, indent=2) + "\n")
    return 0 if caught == len(results) else 1


def plant(fault: Fault, copy: Path) -> dict[str, str | float | None]:
    """The first test that fails with the fault, None if there is none."""
    file = copy / "mfd/kernels" / fault.file
    right = file.read_text()
    if fault.right not in right:
        raise SystemExit(f"{fault.name}: {fault.file} has no {fault.right!r} any more")
    file.write_text(right.replace(fault.right, fault.wrong))
    start = time.monotonic()
    caught_by = failing_test(copy)
    file.write_text(right)
    return {"fault": fault.name, "caught_by": caught_by, "seconds": round(time.monotonic() - start)}


def failing_test(copy: Path) -> str | None:
    """Runs the copy's tests until one fails; its name."""
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    command += [f"tests/kernels/{name}" for name in TESTS]
    run = subprocess.run(
        command,
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(copy)},
    )
    if run.returncode == 0:
        return None
    failed = [line.split()[1] for line in run.stdout.splitlines() if line.startswith("FAILED")]
    if not failed:
        raise SystemExit(f"the tests did not run:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
    return failed[0].removeprefix("tests/kernels/")


if __name__ == "__main__":
    sys.exit(main())
