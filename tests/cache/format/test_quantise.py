import pytest
import torch

from mfd.cache.format.quantise import quantise


def uneven(seed: int) -> torch.Tensor:
    """Channels of sizes from 1e-6 to 1e6, the first four: zeros, constant, one peak, subnormal."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(37, 13, generator=generator) * torch.logspace(-6, 6, 13)
    values[:, 0] = 0
    values[:, 1] = -3.7
    values[:, 2], values[5, 2] = 0, 41.3
    values[:, 3] *= 1e-40
    return values


@pytest.mark.parametrize("seed", range(3))
def test_every_value_is_within_half_a_step_of_its_channel(seed: int) -> None:
    values = uneven(seed)
    stored, scale = quantise(values)
    error = (stored.double() * scale.double() - values.double()).abs()
    rounding = torch.finfo(torch.float32).eps * values.double().abs()
    assert (error <= 0.5 * scale.double() + rounding).all()
    largest = values.abs().amax(0).double()
    assert torch.equal(stored.abs().amax(0)[[1, 2, 4, 12]], torch.full((4,), 127, dtype=torch.int8))
    torch.testing.assert_close(127 * scale.double()[4:], largest[4:], rtol=1e-6, atol=0)


def test_zeros_and_constants_come_back_as_they_were() -> None:
    values = uneven(0)
    stored, scale = quantise(values)
    back = stored * scale
    assert not back[:, 0].any()
    torch.testing.assert_close(back[:, 1], values[:, 1], rtol=2e-7, atol=0)


def test_the_sign_of_a_value_never_changes_and_minus_128_is_not_used() -> None:
    values = torch.stack([torch.linspace(-1, 1, 1001), torch.linspace(-1, 0.1, 1001)], 1)
    stored, _ = quantise(values)
    assert stored.min() == -127
    assert (stored * values >= 0).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_the_scale_of_a_channel_that_is_not_finite_is_not_finite(value: float) -> None:
    values = uneven(0)
    values[11, 7] = value
    _, scale = quantise(values)
    assert (~scale.isfinite()).nonzero().flatten().tolist() == [7]


def test_the_largest_finite_values_can_be_stored() -> None:
    values = torch.tensor([[3.4e38], [-1e38]])
    stored, scale = quantise(values)
    assert stored.flatten().tolist() == [127, -37]
    assert (stored * scale).isfinite().all()
