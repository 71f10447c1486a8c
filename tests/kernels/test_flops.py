"""PyTorch's counter of floating-point operations knows the operators."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mfd.kernels import ms_deform_attn_fused, roi_align, roi_align_upsampled
from tests.kernels.deform_attn.inputs import fused_inputs
from tests.kernels.oracle import DEVICE
from tests.kernels.roi_align.inputs import SIZES, make_inputs

OUTPUTS = 2 * 5 * 2 * 12  # B, Q, M, D of `fused_inputs`
CORNERS = 4 * 4 * 2  # pixels that an output adds: corners, L, P
OPERATORS = "deform_attn", "deform_attn_gradients", "roi_read", "roi_read_grad"


def count(out: Tensor, *leaves: Tensor) -> int:
    """Operations of the backward pass."""
    with FlopCounterMode(display=False) as counter:
        torch.autograd.grad(out.sum(), leaves)
    return counter.get_total_flops()


def test_deform_attn_counts_two_operations_per_corner_and_channel(path: str) -> None:
    value, shapes, *leaves = fused_inputs(torch.float32)
    with FlopCounterMode(display=False) as counter:
        ms_deform_attn_fused(value, shapes, *leaves)
    assert counter.get_total_flops() == 2 * CORNERS * OUTPUTS


@pytest.mark.parametrize(("wanted", "times"), [((0,), 1), ((2, 3), 1), ((0, 1, 2, 3), 2)])
def test_deform_attn_gradients_count_what_is_needed(wanted: tuple[int, ...], times: int) -> None:
    value, shapes, *leaves = fused_inputs(torch.float32)
    inputs = [t.detach().requires_grad_(i in wanted) for i, t in enumerate((value, *leaves))]
    out = ms_deform_attn_fused(inputs[0], shapes, *inputs[1:])
    assert count(out, *(inputs[i] for i in wanted)) == times * 2 * CORNERS * OUTPUTS


def test_roi_align_counts_two_operations_per_tap_and_channel() -> None:
    """On a device without data no taps are merged: two samples of two pixels along each axis."""
    features, boxes, images = (t.to("meta") for t in make_inputs(torch.float32))
    with FlopCounterMode(display=False) as counter:
        out = roi_align(features, boxes, images, 3)
    assert counter.get_total_flops() == 2 * 4 * 4 * out.numel()
    with FlopCounterMode(display=False) as counter:
        sizes = SIZES.to("meta")
        roi_align_upsampled(features, boxes, images, 3, coarse_hw=sizes, fine_hw=2 * sizes)
    assert counter.get_total_flops() == 2 * 8 * 8 * out.numel()


def test_roi_align_counts_as_much_backward_as_forward(path: str) -> None:
    features, boxes, images = make_inputs(torch.float32)
    with FlopCounterMode(display=False) as counter:
        out = roi_align(features, boxes, images, 3)
    assert count(out, features) == counter.get_total_flops() > 0


@pytest.mark.parametrize("first", ["mfd.kernels", "torch.utils.flop_counter"])
def test_formulas_are_registered_whichever_is_imported_first(first: str) -> None:
    code = (
        f"import {first}, sys, torch;"
        f"assert ({first!r} == 'mfd.kernels') == ('torch.utils.flop_counter' not in sys.modules);"
        "import mfd.kernels; from torch.utils.flop_counter import flop_registry;"
        f"assert all(getattr(torch.ops.mfd, name) in flop_registry for name in {OPERATORS})"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_counting_leaves_values_as_they_are(path: str) -> None:
    value, shapes, *leaves = fused_inputs(torch.float32)
    with FlopCounterMode(display=False):
        counted = ms_deform_attn_fused(value, shapes, *leaves)
    torch.testing.assert_close(counted, ms_deform_attn_fused(value, shapes, *leaves))
    assert counted.device.type == DEVICE
