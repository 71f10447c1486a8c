"""Deformable attention as an operator: compiler, export, autocast, determinism."""

from collections.abc import Iterator

import pytest
import torch

from mfd.kernels import ms_deform_attn, ms_deform_attn_fused
from tests.kernels.deform_attn.inputs import fused_inputs, make_inputs
from tests.kernels.operators import opcheck
from tests.kernels.oracle import DEVICE


@pytest.fixture
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("fused", [True, False])
def test_operator_passes_opcheck(fused: bool) -> None:
    if fused:
        arguments = fused_inputs(torch.float32)
    else:
        value, shapes, points, weights = make_inputs(torch.float32)
        arguments = (value, shapes, points.flatten(3, 4), weights.flatten(3), None)
    arguments = tuple(
        t if t is None or not t.is_floating_point() else t.detach().requires_grad_()
        for t in arguments
    )
    opcheck(torch.ops.mfd.deform_attn.default, arguments)


def test_fake_outputs_have_the_shapes_and_types_of_real_ones() -> None:
    value, shapes, offsets, logits, reference = fused_inputs(torch.bfloat16)
    arguments = (torch.randn_like(value)[:, :5], value, shapes, offsets, logits, reference)
    for needs in ((True, True), (True, False), (False, True)):
        with torch.no_grad():
            opcheck(
                torch.ops.mfd.deform_attn_gradients.default,
                (*arguments, *needs),
                test_utils="test_faketensor",
            )


def test_compiled_call_has_no_graph_break_and_the_same_gradients() -> None:
    value, shapes, *leaves = fused_inputs(torch.float32)
    compiled = torch.compile(ms_deform_attn_fused, fullgraph=True, backend="aot_eager")
    results = [
        torch.autograd.grad(attend(value, shapes, *leaves).square().sum(), (value, *leaves))
        for attend in (ms_deform_attn_fused, compiled)
    ]
    torch.testing.assert_close(*results, rtol=0, atol=0)


def test_exported_program_computes_the_same() -> None:
    class Attention(torch.nn.Module):
        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            return ms_deform_attn(*inputs)

    inputs = tuple(t.detach() for t in make_inputs(torch.float32))
    exported = torch.export.export(Attention(), inputs)
    torch.testing.assert_close(exported.module()(*inputs), ms_deform_attn(*inputs))


def test_autocast_leaves_every_input_in_its_type() -> None:
    value, shapes, offsets, logits, reference = fused_inputs(torch.float32)
    projection = torch.nn.Linear(12, 12).to(DEVICE)
    with torch.autocast(DEVICE, torch.bfloat16):
        projected = projection(value)
        out = ms_deform_attn_fused(projected, shapes, offsets, logits, reference)
    assert projected.dtype == out.dtype == torch.bfloat16
    out.float().sum().backward()
    assert projection.weight.grad is not None
    assert projection.weight.grad.dtype == torch.float32
    assert reference.grad is not None
    assert reference.grad.any()


def test_deterministic_mode_sums_in_a_fixed_order(path: str, deterministic: None) -> None:
    value, shapes, locations, weights = make_inputs(torch.float32, batch=1, queries=5)
    grads = [
        torch.autograd.grad(ms_deform_attn(value, shapes, locations, weights).sum(), value)[0]
        for _ in range(2)
    ]
    assert torch.equal(*grads)


def test_gradient_of_value_by_sorting_equals_the_one_by_additions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = make_inputs(torch.float64, batch=1, queries=5)
    grads = []
    for path in ("reference", "triton"):
        monkeypatch.setenv("MFD_KERNELS", path)
        grads.append(torch.autograd.grad(ms_deform_attn(*arguments).sum(), arguments[0])[0])
    torch.testing.assert_close(*grads)
