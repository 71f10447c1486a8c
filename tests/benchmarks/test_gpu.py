"""The GPU benchmark can start at any time, and loses only what cannot be done."""

import importlib.util
import json
import os
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks import compare, gpu, sums
from benchmarks.cases import SMALL_ATTENTION, SMALL_BOXES, SMALL_NORMS
from benchmarks.device import Pretended
from benchmarks.inputs import grid_sample_roi_align
from benchmarks.pipeline import region_route
from benchmarks.plan import Plan
from benchmarks.record import relative_error

ROOT = Path(__file__).parents[2]
PEERS = Path(__file__).parent / "peers"


def test_dry_run_checks_every_kernel_and_times_every_peer(tmp_path: Path) -> None:
    out = tmp_path / "dry.json"
    path = os.pathsep.join([str(ROOT), str(PEERS)])
    command = [sys.executable, "-m", "benchmarks.gpu", "--dry-run", "--out", str(out)]
    subprocess.run(
        command, check=True, capture_output=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}
    )
    found = json.loads(out.read_text())
    absent = importlib.util.find_spec("torchvision") is None
    assert found["left_out"] == ["torchvision: not installed"] * absent
    assert found["wrong"] == []
    assert len(found["kernels"]) == 3 * sum(map(len, (SMALL_ATTENTION, SMALL_BOXES, SMALL_NORMS)))
    timed = {label for row in found["kernels"] for label in row["of"]}
    deformops = {"deformops, fp32 sums", "deformops, own sums"}
    assert timed == {"ours", "grid_sample", "grid_sample compiled", "PyTorch"} | deformops
    ways = found["head_step"]["ways"]
    assert list(ways) == ["launches", "graphs", "compiled", "compiled, graphs"]
    assert all(way["launches"] > 100 and way["median_ms"] > 0 for way in ways.values())
    assert found["detector_forward"]["median_ms"] > 0
    table = out.with_suffix(".md").read_text()
    assert "made up" in table
    assert table.count("| small | bfloat16 |") == 5 + 1  # implementations, sums
    assert [(row["additions"], row["tiles"]) for row in found["value_sums"]] == [(1.0, 1.0)] * 3
    assert "tiles are faster in no case" in table


def test_torchvision_is_timed_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    package, ops = ModuleType("torchvision"), ModuleType("torchvision.ops")
    package.__spec__ = ModuleSpec("torchvision", None)
    ops.roi_align = its_roi_align  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.ops", ops)
    device = Pretended()
    job = compare.box_job(SMALL_BOXES[0], torch.bfloat16, device)
    inputs = job.make()
    theirs, ours = (job.calls[name](inputs).float() for name in ("torchvision", "ours"))
    assert relative_error(theirs, ours) < 1e-2
    assert "torchvision" in compare.times(job, device, Plan(60, device))
    assert "map F, torchvision" in region_route(device)


def its_roi_align(
    maps: Tensor, rois: Tensor, cells: int, scale: float, ratio: int, aligned: bool
) -> Tensor:
    """(N, C, s, s), as torchvision's function of this name."""
    assert (scale, ratio, aligned) == (1.0, 2, True)
    features = maps.permute(0, 2, 3, 1)
    found = grid_sample_roi_align(features, rois[:, 1:], rois[:, 0].long(), cells)
    return found.permute(0, 3, 1, 2)


def test_end_of_the_time_leaves_the_rest_out_and_writes_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "late.json"
    monkeypatch.setattr(sys, "argv", ["gpu", "--dry-run", "--seconds", "0", "--out", str(out)])
    assert gpu.main() == 0
    found = json.loads(out.read_text())
    assert found["kernels"] == []
    assert found["head_step"] is None
    late = [line for line in found["left_out"] if line.endswith("the 0 seconds were over")]
    assert len(late) == 23  # 9 small checks, 9 cases, 5 parts
    assert all(f"- {line}" in out.with_suffix(".md").read_text() for line in late)


def test_wrong_kernel_is_reported_and_never_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "GATES", dict.fromkeys(compare.GATES, (0.0, 0.0)))
    monkeypatch.setattr(gpu, "times", lambda *_: pytest.fail("timed"))
    device, content = Pretended(), dict[str, Any](wrong=[], kernels=[])
    job = compare.attention_job(SMALL_ATTENTION[0], torch.float32, device, compiled=False)
    gpu.compare(job, content, Plan(60, device), device)
    assert content["kernels"] == []
    assert len(content["wrong"]) == 1
    assert content["wrong"][0].startswith("small, torch.float32: output is off by ")


def test_wrong_sum_is_reported_and_never_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "GATES", dict.fromkeys(sums.GATES, (0.0, 0.0)))
    device, content = Pretended(), dict[str, Any](wrong=[])
    monkeypatch.setattr(device, "clock", lambda _: pytest.fail("timed"))
    found = gpu.attempt("sums", lambda: sums.value_sums(device), content, Plan(60, device))
    assert found is None
    assert "gradient of value by additions is off by" in content["wrong"][0]


def test_tiles_pay_from_the_number_of_points_on_from_which_all_cases_are_faster() -> None:
    rows = [
        {"points": points, "additions": 1.0, "tiles": tiles}
        for points, tiles in ((10, 2.0), (20, 0.5), (30, 1.5), (40, 0.9), (50, 0.8), (50, 0.7))
    ]
    assert sums.tiled_from(rows) == 40
    assert sums.tiled_from(rows[:4]) == 40
    assert sums.tiled_from(rows[:3]) is None


def test_failure_of_one_peer_leaves_the_others_their_times() -> None:
    device = Pretended()
    job = compare.attention_job(SMALL_ATTENTION[0], torch.float32, device, compiled=False)

    def too_large(_: dict[str, torch.Tensor]) -> torch.Tensor:
        raise torch.OutOfMemoryError("out of memory: 9 GB\nmore")

    plan = Plan(60, device)
    job.calls["greedy"] = too_large
    job.calls["last"] = job.calls["ours"]
    assert list(compare.times(job, device, plan)) == ["ours", "grid_sample", "last"]
    assert plan.left_out == ["small, torch.float32, greedy: out of memory: 9 GB"]


def test_mistake_in_the_script_itself_is_not_hidden() -> None:
    plan = Plan(60, Pretended())
    with pytest.raises(KeyError):
        plan.attempt("a part", lambda: {}["absent"])
