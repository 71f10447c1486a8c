"""Signals that stop a command leave its work safe."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mfd.cli import main
from tests.builders.project import SMALL

SLOW = """
import time
from own import detector as quick

def detector(weights=None):
    made = quick(weights)
    made.register_forward_pre_hook(lambda *_: time.sleep(0.7))
    return made
"""


def test_sigterm_saves_a_run_that_resumes_to_the_same_heads(project: Path) -> None:
    settings = [*SMALL, "--set=epochs=8", "--set=log_every=1"]
    assert main(["train-head", "--run", "calm", *settings]) == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "mfd", "train-head", "--run", "cut-off", *settings],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = project / "runs/cut-off/metrics.jsonl"
    step = random.randrange(2, 20)
    while process.poll() is None and not (
        metrics.exists() and len(metrics.read_text().splitlines()) >= step
    ):
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143, said
    assert "the same command with --resume resumes from there" in said
    assert main(["train-head", "--resume", "--run", "cut-off"]) == 0
    for head in ("head.safetensors", "best/head.safetensors"):
        assert Path("runs/cut-off", head).read_bytes() == Path("runs/calm", head).read_bytes(), step
    curves = [
        {k: v for k, v in line.items() if k.startswith("val_m")}
        for name in ("cut-off", "calm")
        for line in map(json.loads, Path("runs", name, "metrics.jsonl").read_text().splitlines())
        if "val_mask_ap" in line
    ]
    assert curves[:8] == curves[8:]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_leaves_an_extraction_that_says_what_is_safe(
    project: Path, signum: signal.Signals
) -> None:
    (project / "slow.py").write_text(SLOW)
    command = ["extract", "--detector", "slow.py:detector", "--stores", f"stopped-{signum}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mfd", *command],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    before = iter(process.stderr.readline, "")
    assert any("weights before" in line for line in before)
    process.send_signal(signum)
    _, after = process.communicate(timeout=60)
    assert process.returncode == 128 + signum
    assert "of 2 units are safe; the same command resumes from there" in after
    assert "Traceback" not in after
