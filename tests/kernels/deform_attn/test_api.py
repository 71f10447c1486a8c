"""Multi-scale deformable attention: both paths, values and gradients, awkward inputs."""

import pytest
import torch

from mfd.errors import KernelError
from mfd.kernels import ms_deform_attn, ms_deform_attn_fused
from tests.kernels.deform_attn.inputs import from_fused, fused_inputs, make_inputs
from tests.kernels.oracle import (
    DEVICE,
    assert_as_exact_as_pytorch,
    deform_attn_grid_sample,
    deform_attn_loops,
)


def test_oracles_agree() -> None:
    inputs = make_inputs(queries=3, dim=5)
    torch.testing.assert_close(deform_attn_loops(*inputs), deform_attn_grid_sample(*inputs))


def test_values_are_those_of_the_loops(path: str) -> None:
    inputs = make_inputs(queries=3, dim=5)
    torch.testing.assert_close(ms_deform_attn(*inputs), deform_attn_loops(*inputs))


def test_gradients_are_those_of_grid_sample(path: str) -> None:
    value, shapes, locations, weights = make_inputs()
    ours = ms_deform_attn(value, shapes, locations, weights)
    theirs = deform_attn_grid_sample(value, shapes, locations, weights)
    grad = torch.randn_like(ours)
    leaves = (value, locations, weights)
    torch.testing.assert_close(
        torch.autograd.grad(ours, leaves, grad), torch.autograd.grad(theirs, leaves, grad)
    )


def test_fused_form_takes_softmax_and_pixel_offsets(path: str) -> None:
    value, shapes, *leaves = fused_inputs(torch.float64)
    ours = ms_deform_attn_fused(value, shapes, *leaves)
    theirs = from_fused(value, shapes, *leaves)
    grad = torch.randn_like(ours)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(
        torch.autograd.grad(ours, (value, *leaves), grad),
        torch.autograd.grad(theirs, (value, *leaves), grad),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_low_precision_is_as_exact_as_pytorch(path: str, dtype: torch.dtype) -> None:
    value, shapes, *leaves = fused_inputs(dtype, batch=1)
    leaves[2] = leaves[2].detach().float()  # reference points stay float32
    exact_leaves = [t.detach().double().requires_grad_() for t in (value, *leaves)]
    exact = from_fused(exact_leaves[0], shapes, *exact_leaves[1:])
    plain_leaves = [t.detach().float().requires_grad_() for t in (value, *leaves)]
    plain = from_fused(plain_leaves[0], shapes, *plain_leaves[1:])
    ours = ms_deform_attn_fused(value, shapes, *leaves)
    assert_as_exact_as_pytorch(ours, plain.to(dtype), exact)

    grad = torch.randn_like(ours)
    of_ours = torch.autograd.grad(ours, (value, *leaves[:2]), grad)
    of_plain = torch.autograd.grad(plain, plain_leaves[:3], grad.float())
    of_exact = torch.autograd.grad(exact, exact_leaves[:3], grad.double())
    for one, other, truth in zip(of_ours, of_plain, of_exact, strict=True):
        assert_as_exact_as_pytorch(one, other.to(dtype), truth)


def test_numerical_gradients_agree(path: str) -> None:
    shapes = torch.tensor([(3, 4), (2, 1)])
    value, _, offsets, logits, reference = fused_inputs(
        torch.float64, shapes=shapes, batch=1, queries=3, heads=1, dim=4, points=2
    )
    with torch.no_grad():  # keep samples away from the kinks at pixel centres
        sizes_wh = shapes.flip(-1).repeat_interleave(2, 0).to(offsets)
        pixels = reference.repeat_interleave(2, 2)[:, :, None] * sizes_wh + offsets
        offsets += (pixels - 0.5).round() + 0.3 - (pixels - 0.5)
    assert torch.autograd.gradcheck(
        lambda *leaves: ms_deform_attn_fused(leaves[0], shapes, *leaves[1:]),
        (value, offsets, logits, reference),
        fast_mode=True,
    )


def test_one_sided_gradients_at_pixel_centres_and_borders_are_grid_samples(path: str) -> None:
    shapes = torch.tensor([(4, 8)])  # powers of two: no rounding moves a point off its centre
    pixels = torch.tensor([(-1, -1), (0, 0), (7, 3), (2, -1), (8, 1), (-0.5, 3.5), (3, 4)])
    locations = ((pixels.double() + 0.5) / torch.tensor([8, 4])).view(1, 7, 1, 1, 1, 2)
    value = torch.randn(1, 32, 1, 4, dtype=torch.float64)
    weights = torch.ones(1, 7, 1, 1, 1, dtype=torch.float64)
    locations, value, weights = (t.to(DEVICE).requires_grad_() for t in (locations, value, weights))
    results = [
        torch.autograd.grad(
            attend(value, shapes, locations, weights).sum(), (value, locations, weights)
        )
        for attend in (ms_deform_attn, deform_attn_grid_sample)
    ]
    torch.testing.assert_close(*results)


def test_offsets_that_are_not_finite_read_zero(path: str) -> None:
    value, shapes, offsets, logits, reference = fused_inputs(torch.float32, batch=1, queries=4)
    strange = offsets.detach().clone()
    strange[0, 0, 0, 0, 0] = float("nan")
    strange[0, 1, 0, 0, 1] = float("inf")
    strange[0, 2, 0, 0] = -1e30
    beyond = torch.where(strange.isfinite() & (strange.abs() < 1e3), strange, 1e3)
    out = ms_deform_attn_fused(value, shapes, strange, logits, reference)
    torch.testing.assert_close(out, from_fused(value, shapes, beyond, logits, reference))


@pytest.mark.parametrize("queries", [1, 63, 65])
def test_any_number_of_queries_fits_the_blocks(path: str, queries: int) -> None:
    inputs = make_inputs(
        torch.float32, torch.tensor([(3, 5)]), batch=1, queries=queries, heads=1, points=1
    )
    torch.testing.assert_close(ms_deform_attn(*inputs), deform_attn_grid_sample(*inputs))


@pytest.mark.parametrize(("batch", "queries"), [(0, 3), (2, 0)])
def test_nothing_in_gives_nothing_out(path: str, batch: int, queries: int) -> None:
    value, shapes, locations, weights = make_inputs(batch=batch, queries=queries)
    out = ms_deform_attn(value, shapes, locations, weights)
    assert out.shape == (batch, queries, 2, 12)
    out.sum().backward()
    assert value.grad is not None
    assert not value.grad.any()


def test_strided_inputs_and_expanded_gradients(path: str) -> None:
    value, shapes, locations, weights = make_inputs(torch.float32, batch=2, queries=3)
    sliced = torch.stack([value, -value], -1)[..., 0]  # strides of two along the channels
    assert not sliced.is_contiguous()
    turned = locations.transpose(1, 2).contiguous().transpose(1, 2)
    ours = ms_deform_attn(sliced[1:], shapes, turned[1:], weights[1:]).sum()  # expanded gradient
    theirs = deform_attn_grid_sample(value[1:], shapes, locations[1:], weights[1:]).sum()
    leaves = (value, locations, weights)
    torch.testing.assert_close(
        torch.autograd.grad(ours, leaves), torch.autograd.grad(theirs, leaves)
    )


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 2)])
def test_only_the_gradients_asked_for_are_made(path: str, wanted: tuple[int, ...]) -> None:
    value, shapes, *points = make_inputs(
        torch.float32, torch.tensor([(3, 5)]), batch=1, queries=2, points=1
    )
    leaves = [t.detach().requires_grad_(i in wanted) for i, t in enumerate((value, *points))]
    ms_deform_attn(leaves[0], shapes, *leaves[1:]).sum().backward()
    assert [leaf.grad is not None for leaf in leaves] == [i in wanted for i in range(3)]


def test_an_image_does_not_depend_on_its_neighbours(path: str) -> None:
    value, shapes, locations, weights = make_inputs(torch.float32, queries=3)
    whole = ms_deform_attn(value, shapes, locations, weights)
    alone = ms_deform_attn(value[1:], shapes, locations[1:], weights[1:])
    torch.testing.assert_close(whole[1:], alone, rtol=0, atol=0)


def test_inputs_that_do_not_fit_are_refused() -> None:
    value, shapes, locations, weights = make_inputs()
    with pytest.raises(KernelError, match="value has 46 pixels, spatial_shapes give 45"):
        ms_deform_attn(value, shapes[:3], locations[:, :, :, :3], weights[:, :, :, :3])
    with pytest.raises(KernelError, match="points have shape"):
        ms_deform_attn(value, shapes, locations[:1], weights)
    with pytest.raises(KernelError, match="expected floats of shape"):
        ms_deform_attn(value.int(), shapes, locations, weights)
    with pytest.raises(KernelError, match="spatial_shapes has shape"):
        ms_deform_attn(value, shapes[:3], locations, weights)
    with pytest.raises(KernelError, match="expected sides above 0"):
        ms_deform_attn(value, shapes * torch.tensor([1, 0]), locations, weights)
    value, shapes, offsets, logits, reference = fused_inputs(torch.float32)
    with pytest.raises(KernelError, match="reference_points have shape"):
        ms_deform_attn_fused(value, shapes, offsets, logits, reference[:, :, :2])
