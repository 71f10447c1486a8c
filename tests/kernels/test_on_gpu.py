"""What only a GPU can show; everything else in this folder runs on one too where there is one."""

import pytest
import torch

from mfd.kernels import ms_deform_attn, roi_align
from tests.kernels.oracle import deform_attn_grid_sample
from tests.kernels.test_deform_attn import make_inputs
from tests.kernels.test_roi_align import make_inputs as roi_inputs

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


def test_kernels_run_on_the_stream_of_their_caller() -> None:
    features, boxes, images = roi_inputs(torch.float32)
    expected = roi_align(features, boxes, images, 3)
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        ours = roi_align(features, boxes, images, 3)
    stream.synchronize()
    assert torch.equal(ours, expected)
