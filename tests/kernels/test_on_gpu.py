"""What only a GPU can show; everything else in this folder runs on one too where there is one."""

import os
import shutil
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from mfd.kernels import ms_deform_attn, roi_align
from tests.kernels.deform_attn.inputs import make_inputs
from tests.kernels.oracle import deform_attn_grid_sample
from tests.kernels.roi_align.inputs import make_inputs as roi_inputs

SANITIZED = (
    "triton and (values_are or gradients_are or blocks or crowd or not_finite or upsampled)"
    " or test_tiles"
)
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def test_value_of_more_elements_than_32_bits_count() -> None:
    batch, shapes = 400, torch.tensor([(100, 167), (50, 84), (25, 42), (13, 21)])
    value = torch.zeros(batch, 22223, 8, 32, dtype=torch.bfloat16, device="cuda")
    value[-1].normal_()
    where = torch.rand(batch, 4, 8, 4, 4, 2, device="cuda")
    weights = torch.rand(batch, 4, 8, 4, 4, device="cuda").bfloat16() / 16
    whole = ms_deform_attn(value, shapes, where, weights)
    last = ms_deform_attn(value[-1:].clone(), shapes, where[-1:], weights[-1:])
    assert torch.equal(whole[-1:], last)
    assert last.any()


def test_cells_of_more_elements_than_32_bits_count() -> None:
    features = torch.randn(1, 20, 30, 256, device="cuda", dtype=torch.bfloat16)
    corners = torch.rand(9000, 2, device="cuda") * 10
    boxes = torch.cat([corners, corners + 9], 1)
    images = torch.zeros(9000, dtype=torch.long, device="cuda")
    whole = roi_align(features, boxes, images, 32)
    assert torch.equal(whole[-1:], roi_align(features, boxes[-1:], images[-1:], 32))


def test_additions_in_any_order_differ_by_rounding_only() -> None:
    value, shapes, where, weights = make_inputs(torch.float32, batch=4, queries=200)
    runs = [
        torch.autograd.grad(ms_deform_attn(value, shapes, where, weights).sum(), value)[0]
        for _ in range(2)
    ]
    assert (runs[0] - runs[1]).norm() <= 1e-5 * runs[0].norm()


def test_captured_graph_replays_on_new_inputs() -> None:
    value, shapes, where, weights = (t.detach() for t in make_inputs(torch.float32))
    shapes = shapes.cuda()
    ms_deform_attn(value, shapes, where, weights)  # compiles
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = ms_deform_attn(value, shapes, where, weights)
    value.normal_()
    graph.replay()
    torch.testing.assert_close(
        out, deform_attn_grid_sample(value, shapes.cpu(), where, weights), rtol=1e-4, atol=1e-5
    )


def outputs_and_gradients(device: str) -> list[Tensor]:
    """Of both operations, on inputs that are the same on every device."""
    torch.manual_seed(0)
    value, shapes, where, weights = make_inputs(torch.float32)
    features, boxes, images = roi_inputs(torch.float32)
    leaves = [t.detach().to(device).requires_grad_() for t in (value, where, weights, features)]
    attended = ms_deform_attn(leaves[0], shapes, *leaves[1:3])
    cells = roi_align(leaves[3], boxes.to(device), images.to(device), 3)
    total = attended.square().sum() + cells.square().sum()
    return [attended.detach(), cells.detach(), *torch.autograd.grad(total, leaves)]


def test_kernels_run_on_the_streams_of_their_callers() -> None:
    expected = outputs_and_gradients("cuda")
    torch.cuda.synchronize()
    streams = [torch.cuda.Stream() for _ in range(2)]
    results = []
    for stream in streams:  # side by side: neither waits for the other
        with torch.cuda.stream(stream):
            torch.cuda._sleep(10_000_000)  # a kernel on another stream would now be too early
            results.append(outputs_and_gradients("cuda"))
    for stream in streams:
        stream.synchronize()
    for result in results:
        torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_kernels_run_on_the_device_of_their_inputs() -> None:
    with torch.cuda.device(0):
        there = outputs_and_gradients("cuda:1")
    assert {tensor.device for tensor in there} == {torch.device("cuda:1")}
    here = outputs_and_gradients("cuda:0")
    torch.testing.assert_close([t.to("cuda:0") for t in there], here, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["memcheck", "racecheck"])
def test_sanitizer_finds_no_fault(tool: str) -> None:
    sanitizer = shutil.which("compute-sanitizer", path=os.environ["PATH"] + ":/usr/local/cuda/bin")
    if sanitizer is None:
        pytest.skip("compute-sanitizer, a part of the CUDA toolkit, is not installed")
    command = [sanitizer, "--tool", tool, "--error-exitcode", "86", "--target-processes", "all"]
    command += [sys.executable, "-m", "pytest", "-q", "-n", "0", "-k", SANITIZED, "tests/kernels"]
    run = subprocess.run(
        command,
        env={**os.environ, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"},  # else it sees one allocation
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
