"""Plants faults in a copy of the code, one at a time, and shows that tests catch each.

    python tools/plant_faults.py [--only NAME] [--folder mfd/kernels] [--out FILE]

Exits with 1 if a fault survives, or if the tests fail without one. The faults are in `faults/`.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from faults import FAULTS, Fault

ROOT = Path(__file__).parents[1]
CRASHES = (-signal.SIGSEGV, -signal.SIGABRT)  # of kernels that leave their memory


def main() -> int:
    """0 if every fault is caught."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="NAME", help="only the fault of this name")
    parser.add_argument("--folder", type=Path, help="only faults in files of this folder")
    parser.add_argument("--out", type=Path, help="write the results there as JSON")
    options = parser.parse_args()
    faults = [
        fault
        for fault in FAULTS
        if options.only in (None, fault.name)
        and (options.folder is None or Path(fault.file).is_relative_to(options.folder))
    ]
    if not faults:
        parser.error("no fault has this name in this folder; the names are in tools/faults/")
    results = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        for part in ("mfd", "tests", "benchmarks", "examples", "tools"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        for tests in sorted({fault.tests for fault in faults}):
            if failed := failing_test(tests, copy):
                print(f"without any fault {failed} fails")
                return 1
        for fault in faults:
            results.append(plant(fault, copy))
            print(json.dumps(results[-1]), flush=True)
    survived = [result["fault"] for result in results if result["caught_by"] is None]
    print(f"{len(results) - len(survived)} of {len(results)} faults caught")
    if options.out:
        options.out.write_text(json.dumps(results, indent=2) + "\n")
    return 1 if survived else 0


def plant(fault: Fault, copy: Path) -> dict[str, str | float | None]:
    """The first test that fails with the fault, None if there is none."""
    file = copy / fault.file
    right = file.read_text()
    if fault.right not in right:
        raise SystemExit(f"{fault.name}: {fault.file} no longer has {fault.right!r}")
    file.write_text(right.replace(fault.right, fault.wrong))
    start = time.monotonic()
    caught_by = failing_test(fault.tests, copy)
    file.write_text(right)
    return {
        "fault": fault.name,
        "file": fault.file,
        "caught_by": caught_by,
        "seconds": round(time.monotonic() - start),
    }


def failing_test(tests: str, copy: Path) -> str | None:
    """Runs a folder of the copy's tests until one fails; its name."""
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, "-m", "not slow", tests],
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(copy)},
    )
    if run.returncode == 0:
        return None
    if run.returncode in CRASHES:
        return f"{tests}, which {signal.Signals(-run.returncode).name} ended"
    lines = run.stdout.splitlines()
    failed = [line.split()[1] for line in lines if line.startswith(("FAILED", "ERROR"))]
    if not failed:
        raise SystemExit(f"the tests did not run:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
    return failed[0]


if __name__ == "__main__":
    sys.exit(main())
