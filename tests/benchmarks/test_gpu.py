"""The GPU benchmark can start at any time: its small form runs on any machine."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_small_form_checks_every_kernel_and_writes_its_figures(tmp_path: Path) -> None:
    out = tmp_path / "quick.json"
    command = [sys.executable, "-m", "benchmarks.gpu", "--quick", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    found = json.loads(out.read_text())
    assert found["left_out"] == []
    compared = {(kernel["case"], kernel["dtype"]) for kernel in found["kernels"]}
    assert len(compared) == len(found["kernels"]) >= 4
    assert {dtype for _, dtype in compared} == {"bfloat16", "float32"}
    for part in ("head_step", "detector_forward"):
        assert found[part]["median_ms"] > 0
