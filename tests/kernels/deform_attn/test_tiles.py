"""The gradient of value by tiles: right for all maps and points, the same in any order."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from mfd.errors import KernelError
from mfd.kernels import ms_deform_attn, ms_deform_attn_fused
from mfd.kernels.deform_attn import launch_tiles
from tests.kernels.deform_attn.inputs import from_fused, fused_inputs, make_inputs
from tests.kernels.oracle import DEVICE, assert_as_exact_as_pytorch, deform_attn_grid_sample

# lines longer than a tile, in whole bins and not; shorter ones; one pixel wide, high, or both
SHAPES = torch.tensor([(3, 24), (2, 21), (3, 7), (3, 1), (1, 4), (1, 1)])


@pytest.fixture(autouse=True)
def _triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MFD_KERNELS", "triton")


@contextmanager
def by_tiles() -> Iterator[None]:
    """Because two runs are to agree; PyTorch then fills memory that nobody has written with NaN."""
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def value_grads(
    dtype: torch.dtype, shapes: Tensor = SHAPES, **sizes: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Ours, PyTorch's in float32 rounded to the type, and the exact one, on the same inputs."""
    value, shapes, *leaves = fused_inputs(dtype, shapes=shapes, **sizes)
    leaves = [t.detach() for t in leaves]
    grad = torch.randn(*leaves[1].shape[:3], value.shape[3]).to(value)
    with by_tiles():
        ours = torch.autograd.grad(ms_deform_attn_fused(value, shapes, *leaves), value, grad)[0]
    theirs = []
    for wide in (torch.float32, torch.float64):
        wanted = value.detach().to(wide).requires_grad_()
        out = from_fused(wanted, shapes, *(t.to(wide) for t in leaves))
        theirs.append(torch.autograd.grad(out, wanted, grad.to(wide))[0])
    return ours, theirs[0].to(dtype), theirs[1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_gradient_is_as_exact_as_pytorchs(dtype: torch.dtype) -> None:
    assert_as_exact_as_pytorch(*value_grads(dtype, batch=1, queries=30, heads=2, dim=12))


@pytest.mark.parametrize("dim", [5, 16, 32, 64])
def test_any_number_of_channels_fits(dim: int) -> None:
    shapes = torch.tensor([(2, 9), (1, 3)])
    sizes = {"batch": 1, "queries": 3, "heads": 2, "dim": dim, "points": 3}
    assert_as_exact_as_pytorch(*value_grads(torch.float32, shapes, **sizes))


@pytest.mark.parametrize("run", [2, 9])
def test_queries_are_sorted_in_runs_of_any_length(
    monkeypatch: pytest.MonkeyPatch, run: int
) -> None:
    monkeypatch.setattr(launch_tiles, "isqrt", lambda _: run)
    shapes = torch.tensor([(2, 11), (2, 2)])
    sizes = {"batch": 2, "queries": 7, "heads": 2, "dim": 4}
    assert_as_exact_as_pytorch(*value_grads(torch.float64, shapes, **sizes))


def value_grad(value: Tensor, shapes: Tensor, *points: Tensor) -> Tensor:
    """Ours, for a gradient of ones."""
    with by_tiles():
        return torch.autograd.grad(ms_deform_attn(value, shapes, *points).sum(), value)[0]


def exact_value_grad(value: Tensor, shapes: Tensor, *points: Tensor) -> Tensor:
    return torch.autograd.grad(deform_attn_grid_sample(value, shapes, *points).sum(), value)[0]


@pytest.mark.skipif(DEVICE == "cuda", reason="only the interpreter's programs can be turned round")
def test_order_of_programs_does_not_change_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    from triton.runtime.interpreter import interpreter_builder as builder

    inputs = make_inputs(torch.float32, torch.tensor([(2, 3)]), batch=1, queries=70, heads=1, dim=4)
    monkeypatch.setattr(launch_tiles, "INTERPRETED_THREADS", 8)
    first = value_grad(*inputs)
    place = builder.set_grid_idx
    turn = lambda x, y, z: place(builder.grid_dim[0] - 1 - x, y, z)  # noqa: E731
    monkeypatch.setattr(builder, "set_grid_idx", turn)
    assert torch.equal(value_grad(*inputs), first)


def test_many_points_on_one_pixel_add_up() -> None:
    value, shapes, locations, weights = make_inputs(
        torch.float32, torch.tensor([(3, 20)]), batch=1, queries=50, heads=1, dim=4
    )
    at = torch.tensor([7.25, 1.5], device=DEVICE)
    locations = ((at + 0.5) / torch.tensor([20, 3], device=DEVICE)).expand_as(locations)
    points = (locations.contiguous(), weights)
    torch.testing.assert_close(
        value_grad(value, shapes, *points), exact_value_grad(value, shapes, *points)
    )


def test_points_on_and_beyond_the_borders_reach_the_pixels_inside() -> None:
    value, shapes, _, _ = make_inputs(
        torch.float64, torch.tensor([(4, 16), (1, 1)]), batch=1, heads=1, dim=4
    )
    x = torch.tensor([-1, -0.5, 0, 7.5, 14, 14.5, 15, 15.5, 16, 17], dtype=torch.float64)
    y = torch.tensor([-1.5, -1, -0.5, 0, 1.5, 2, 2.5, 3, 3.5, 4], dtype=torch.float64)
    pixels = torch.stack(torch.meshgrid(x, y, indexing="ij"), -1).view(1, 100, 1, 1, 1, 2)
    locations = (pixels + 0.5) / torch.tensor([[16, 4], [1, 1]]).view(2, 1, 2)
    weights = torch.rand(1, 100, 1, 2, 1, dtype=torch.float64)
    points = (locations.to(DEVICE), weights.to(DEVICE))
    torch.testing.assert_close(
        value_grad(value, shapes, *points), exact_value_grad(value, shapes, *points)
    )


def test_points_that_are_nowhere_add_nothing() -> None:
    value, shapes, locations, weights = make_inputs(torch.float32, batch=1, queries=4, dim=4)
    strange = locations.detach().clone()
    for query, number in enumerate((float("nan"), float("inf"), -1e30)):
        strange[0, query, :, :, :, query % 2] = number
    beyond = torch.where(strange.isfinite() & (strange.abs() < 1e3), strange, 1e3)
    torch.testing.assert_close(
        value_grad(value, shapes, strange, weights),
        exact_value_grad(value, shapes, beyond, weights),
    )


def test_no_points_give_zeros() -> None:
    value, shapes, *points = make_inputs(torch.float32, queries=0)
    grad = value_grad(value, shapes, *points)
    assert grad.shape == value.shape
    assert not grad.any()


def test_too_many_points_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch_tiles, "MAX_POINTS", 80)
    with pytest.raises(KernelError, match="160 points are to be sorted"):
        value_grad(*make_inputs(torch.float32))
