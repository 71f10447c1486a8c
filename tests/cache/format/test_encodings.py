from typing import get_args

import pytest
import torch

from mfd.cache.format.encodings import ENCODINGS, decode_maps
from mfd.config import StoredDtype

INT8 = ENCODINGS["int8"]


def uneven(seed: int) -> torch.Tensor:
    """Channels of sizes from 1e-6 to 1e6, the first four: zeros, constant, one peak, subnormal."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(37, 13, generator=generator) * torch.logspace(-6, 6, 13)
    values[:, 0] = 0
    values[:, 1] = -3.7
    values[:, 2], values[5, 2] = 0, 41.3
    values[:, 3] *= 1e-40
    return values


def test_encodings_are_those_of_the_settings_and_differ_in_their_element_type() -> None:
    assert set(ENCODINGS) == set(get_args(StoredDtype))
    assert len({encoding.torch_dtype for encoding in ENCODINGS.values()}) == len(ENCODINGS)


@pytest.mark.parametrize("dtype", get_args(StoredDtype))
def test_encodings_say_what_they_make_of_any_map(dtype: StoredDtype) -> None:
    encoding = ENCODINGS[dtype]
    values = torch.randn(7, 9, 5)[:, 1:8]
    stored, constants = encoding.encode(values)
    assert stored.dtype == encoding.torch_dtype
    assert stored.is_contiguous()
    assert tuple(constants) == encoding.constants
    assert stored.nbytes == values.numel() * encoding.itemsize
    assert sum(c.nbytes for c in constants.values()) == 5 * encoding.constant_bytes
    assert encoding.is_finite(stored, constants)
    assert ENCODINGS[encoding.query_dtype].constants == ()


@pytest.mark.parametrize("dtype", get_args(StoredDtype))
def test_decoding_a_padded_batch_is_decoding_each_of_its_maps(dtype: StoredDtype) -> None:
    maps = [torch.randn(4, 6, 5), 100 * torch.randn(3, 7, 5)]
    pairs = [ENCODINGS[dtype].encode(m) for m in maps]
    padded = torch.zeros(2, 4, 7, 5, dtype=pairs[0][0].dtype)
    padded[0, :4, :6], padded[1, :3, :7] = pairs[0][0], pairs[1][0]
    names = ENCODINGS[dtype].constants
    together = decode_maps(padded, {n: torch.stack([p[1][n] for p in pairs]) for n in names})
    for index, (stored, constants) in enumerate(pairs):
        height, width, _ = stored.shape
        single = decode_maps(stored, constants)
        assert torch.equal(together[index, :height, :width], single)
        assert together[index].count_nonzero() == single.count_nonzero()
        error = (single.double() - maps[index].double()).abs().max()
        assert error <= maps[index].abs().max() / 250


@pytest.mark.parametrize("seed", range(3))
def test_int8_values_are_within_half_a_step_of_their_channel(seed: int) -> None:
    values = uneven(seed)
    stored, constants = INT8.encode(values)
    scale = constants["scale"]
    error = (stored.double() * scale.double() - values.double()).abs()
    rounding = torch.finfo(torch.float32).eps * values.double().abs()
    assert (error <= 0.5 * scale.double() + rounding).all()
    largest = values.abs().amax(0).double()
    assert torch.equal(stored.abs().amax(0)[[1, 2, 4, 12]], torch.full((4,), 127, dtype=torch.int8))
    torch.testing.assert_close(127 * scale.double()[4:], largest[4:], rtol=1e-6, atol=0)


def test_int8_zeros_and_constants_come_back_as_they_were() -> None:
    values = uneven(0)
    stored, constants = INT8.encode(values[None])
    back = decode_maps(stored, constants)[0]
    assert not back[:, 0].any()
    torch.testing.assert_close(back[:, 1], values[:, 1], rtol=2e-7, atol=0)


def test_int8_keeps_the_sign_of_a_value_and_does_without_minus_128() -> None:
    values = torch.stack([torch.linspace(-1, 1, 1001), torch.linspace(-1, 0.1, 1001)], 1)
    stored, _ = INT8.encode(values)
    assert stored.min() == -127
    assert (stored * values >= 0).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_int8_scale_of_a_channel_that_is_not_finite_is_not_finite(value: float) -> None:
    values = uneven(0)
    values[11, 7] = value
    stored, constants = INT8.encode(values)
    assert (~constants["scale"].isfinite()).nonzero().flatten().tolist() == [7]
    assert not INT8.is_finite(stored, constants)


def test_int8_stores_the_largest_finite_values() -> None:
    values = torch.tensor([[3.4e38], [-1e38]])
    stored, constants = INT8.encode(values)
    assert stored.flatten().tolist() == [127, -37]
    assert (stored * constants["scale"]).isfinite().all()
