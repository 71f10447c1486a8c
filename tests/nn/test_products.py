"""Linear layers on CPUs: by convolution where that is faster, with the same results."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear as plain_linear

from mfd.nn import Linear, linear, products
from tests.builders.batches import error


def large(bias: bool) -> list[Tensor]:
    """Tokens, weights and bias above the limit."""
    tokens, weight = torch.randn(2, 1050, 128), torch.randn(512, 128) / 12
    assert tokens.numel() * len(weight) >= products.MIN_PRODUCTS
    return [tokens, weight, torch.randn(512)] if bias else [tokens, weight]


@pytest.fixture
def convolutions(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """Sizes of what went through a convolution so far."""
    seen: list[torch.Size] = []
    conv2d: Callable[..., Tensor] = products.conv2d
    monkeypatch.setattr(
        products, "conv2d", lambda x, *a, **k: seen.append(x.shape) or conv2d(x, *a, **k)
    )
    return seen


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch without oneDNN")
@pytest.mark.parametrize("bias", [True, False])
def test_large_product_and_its_gradients_are_those_of_float64(
    bias: bool, convolutions: list[torch.Size]
) -> None:
    inputs = [tensor.requires_grad_() for tensor in large(bias)]
    exact = [tensor.detach().double().requires_grad_() for tensor in inputs]
    out, expected = linear(*inputs), plain_linear(*exact)
    grad = torch.randn_like(out)
    found = torch.autograd.grad(out, inputs, grad)
    assert len(convolutions) == 2
    assert error(out, expected) < 2e-6
    for ours, theirs in zip(
        found, torch.autograd.grad(expected, exact, grad.double()), strict=True
    ):
        assert error(ours, theirs) < 2e-6


def test_only_the_gradients_that_are_needed_are_computed(convolutions: list[torch.Size]) -> None:
    tokens, weight, bias = large(bias=True)
    linear(tokens, weight.requires_grad_(), bias).sum().backward()
    assert len(convolutions) <= 1  # forwards
    assert tokens.grad is None
    assert bias.grad is None
    assert weight.grad is not None


def test_layer_is_pytorchs_where_products_are_small_or_of_another_type(
    convolutions: list[torch.Size],
) -> None:
    tokens, weight, bias = large(bias=True)
    layer, plain = Linear(128, 512), nn.Linear(128, 512)
    for each in (layer, plain):
        each.load_state_dict({"weight": weight, "bias": bias})
    for x in (tokens[:, :2], tokens[:0]):
        assert layer(x).equal(plain(x))
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(tokens).equal(plain(tokens))
    assert layer.double()(tokens.double()).equal(plain.double()(tokens.double()))
    assert not convolutions


def test_an_exported_layer_takes_any_number_of_rows() -> None:
    rows = torch.export.Dim("rows", min=2, max=2**40)
    layer = Linear(8, 8)
    exported = torch.export.export(layer, (torch.randn(5, 8),), dynamic_shapes=[{0: rows}])
    many = torch.randn(2**21 + 1, 8)  # above the limit
    assert exported.module()(many).equal(nn.functional.linear(many, layer.weight, layer.bias))
