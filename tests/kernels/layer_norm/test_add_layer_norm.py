"""LayerNorm of a sum on both paths: values, gradients, types."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from mfd.errors import KernelError
from mfd.kernels import add_layer_norm
from mfd.kernels.layer_norm import launch
from tests.kernels.operators import opcheck
from tests.kernels.oracle import DEVICE, assert_as_exact_as_pytorch

EPS = 1e-2  # large enough to be missed where it is lost


def make_inputs(dtype: torch.dtype, rows: tuple[int, ...] = (2, 37), dim: int = 12) -> list[Tensor]:
    """x, y, weight and bias; means far from zero, 12 channels fill no power of two."""
    exact = torch.float64 if dtype == torch.float64 else torch.float32
    x, y = (torch.randn(*rows, dim) + shift for shift in (2.0, -1.0))
    affine = (torch.randn(dim).to(exact) for _ in range(2))
    inputs = (x.to(dtype), y.to(dtype), *affine)
    return [tensor.to(DEVICE).requires_grad_() for tensor in inputs]


def plainly(x: Tensor, y: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The definition, in the type of x."""
    affine = (parameter.to(x.dtype) for parameter in (weight, bias))
    return layer_norm(x + y, x.shape[-1:], *affine, EPS)


def widened(inputs: list[Tensor]) -> list[Tensor]:
    return [tensor.detach().double().requires_grad_() for tensor in inputs]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_values_and_gradients_are_as_exact_as_pytorchs(path: str, dtype: torch.dtype) -> None:
    inputs = make_inputs(dtype)
    plain, exact = plainly(*inputs), plainly(*widened(inputs))
    ours = add_layer_norm(*inputs, EPS)
    assert_as_exact_as_pytorch(ours, plain, exact)
    grad = torch.randn_like(ours)
    wide = widened(inputs)
    found = (
        torch.autograd.grad(add_layer_norm(*inputs, EPS), inputs, grad),
        torch.autograd.grad(plain, inputs, grad),
        torch.autograd.grad(plainly(*wide), wide, grad.double()),
    )
    for of_ours, of_plain, of_exact in zip(*found, strict=True):
        assert_as_exact_as_pytorch(of_ours, of_plain, of_exact)


def test_numerical_gradients_agree(path: str) -> None:
    inputs = make_inputs(torch.float64, (2, 3), 5)
    torch.testing.assert_close(add_layer_norm(*inputs, EPS), plainly(*inputs))
    assert torch.autograd.gradcheck(lambda *i: add_layer_norm(*i, EPS), inputs, fast_mode=True)


def test_float32_is_pytorchs_own_to_the_bit() -> None:
    inputs = make_inputs(torch.float32)
    both = (add_layer_norm(*inputs, EPS), plainly(*inputs))
    assert torch.equal(*both) or DEVICE == "cuda"
    grad = torch.randn_like(both[0])
    for ours, theirs in zip(*(torch.autograd.grad(o, inputs, grad) for o in both), strict=True):
        assert torch.equal(ours, theirs) or DEVICE == "cuda"


def test_each_input_keeps_its_type(path: str) -> None:
    """As under autocast: what is added comes from a product, weight and bias are float32."""
    x, y, weight, bias = make_inputs(torch.float32)
    low = y.detach().bfloat16().requires_grad_()
    with torch.autocast(DEVICE, torch.bfloat16):
        out = add_layer_norm(x, low, weight, bias)
        narrow = add_layer_norm(low, x, weight, bias)
    assert (out.dtype, narrow.dtype) == (torch.float32, torch.bfloat16)
    torch.testing.assert_close(out, layer_norm(x + low, x.shape[-1:], weight, bias))
    (out.sum() + narrow.sum()).backward()
    assert [t.grad.dtype for t in (x, low, weight, bias)] == [
        t.dtype for t in (x, low, weight, bias)
    ]


def test_more_blocks_of_rows_than_programs_are_all_added(
    monkeypatch: pytest.MonkeyPatch, poisoned: None
) -> None:
    monkeypatch.setenv("MFD_KERNELS", "triton")
    monkeypatch.setattr(launch, "PROGRAMS", 2)
    inputs = make_inputs(torch.float32, (launch.INTERPRETED_ROWS * 4 + 3,))
    wide = widened(inputs)
    grad = torch.randn_like(inputs[0])
    ours = torch.autograd.grad(add_layer_norm(*inputs, EPS), inputs, grad)
    exact = torch.autograd.grad(plainly(*wide), wide, grad.double())
    for found, expected in zip(ours, exact, strict=True):
        torch.testing.assert_close(found, expected.float(), rtol=1e-4, atol=1e-4)


def test_no_rows_and_strided_ones(path: str) -> None:
    x, y, weight, bias = make_inputs(torch.float32)
    none = add_layer_norm(x[:, :0], y[:, :0], weight, bias)
    assert none.shape == (2, 0, 12)
    (of_weight,) = torch.autograd.grad(none.sum(), weight)
    assert not of_weight.any()
    turned = x.transpose(0, 1).contiguous().transpose(0, 1)
    out = add_layer_norm(turned, y, weight, bias)
    torch.testing.assert_close(out, layer_norm(x + y, (12,), weight, bias))
    torch.testing.assert_close(
        torch.autograd.grad(out.sum(), bias)[0], torch.full((12,), 74.0, device=DEVICE)
    )


def test_operators_pass_opcheck() -> None:
    inputs = make_inputs(torch.float32)
    opcheck(torch.ops.mfd.add_layer_norm.default, (*inputs, EPS))
    x, y, weight, bias = (t.detach() for t in inputs)
    statistics = torch.ops.mfd.add_layer_norm(x, y, weight, bias, EPS)[1:]
    gradient = (torch.randn_like(x), x, y, weight, *statistics)
    opcheck(torch.ops.mfd.add_layer_norm_grad.default, gradient)


@pytest.mark.parametrize(("index", "cut"), [(1, 11), (2, 11), (3, 1)])
def test_shapes_that_do_not_fit_are_refused(index: int, cut: int) -> None:
    inputs: list[Any] = make_inputs(torch.float32)
    inputs[index] = inputs[index][..., :cut]
    with pytest.raises(KernelError, match="expected x and y alike"):
        add_layer_norm(*inputs)
