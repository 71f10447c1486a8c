"""The script that trains the packaged detector still runs, and writes what the package reads."""

import json
import subprocess
import sys
from pathlib import Path

from mfd.detectors.demo.detector import WEIGHTS, load_demo
from mfd.detectors.freeze import weights_digest

SCRIPT = Path(__file__).parents[2] / "tools" / "train_demo_detector.py"
PARTS = ("--steps", "2", "--batch", "1", "--test-images", "2")


def _train(out: Path, *more: str) -> dict:
    command = [sys.executable, str(SCRIPT), "--out", str(out), *PARTS, *more]
    subprocess.run(command, check=True, capture_output=True)
    return json.loads(out.with_suffix(".json").read_text())


def test_a_run_can_be_loaded_repeated_and_gone_on_with(tmp_path: Path) -> None:
    report = _train(tmp_path / "first.safetensors")
    assert report["step"] == 2
    assert 0 <= report["box_ap"] <= 1
    first = weights_digest(load_demo(tmp_path / "first.safetensors"))
    _train(tmp_path / "again.safetensors")
    assert weights_digest(load_demo(tmp_path / "again.safetensors")) == first
    more = _train(tmp_path / "more.safetensors", "--init", str(tmp_path / "first.safetensors"))
    assert more["init"]["settings"] == report["settings"]
    assert weights_digest(load_demo(tmp_path / "more.safetensors")) != first


def test_the_packaged_weights_have_their_log_beside_them() -> None:
    report = json.loads(WEIGHTS.with_suffix(".json").read_text())
    assert WEIGHTS.stat().st_size < 4e6
    assert report["log"]
    assert report["box_ap"] >= 0.6
