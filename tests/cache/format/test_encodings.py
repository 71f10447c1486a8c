from typing import get_args

import pytest
import torch

from mfd.cache.format.encodings import ENCODINGS, decode_maps
from mfd.config import StoredDtype

INT8 = ENCODINGS["int8"]
STEPS = {"int4": 15, "int3": 7}


def uneven(seed: int) -> torch.Tensor:
    """Channels of sizes from 1e-6 to 1e6, the first four: zeros, constant, one peak, subnormal."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(37, 13, generator=generator) * torch.logspace(-6, 6, 13)
    values[:, 0] = 0
    values[:, 1] = -3.7
    values[:, 2], values[5, 2] = 0, 41.3
    values[:, 3] *= 1e-40
    return values


def test_encodings_are_those_of_the_settings_and_their_element_type_says_how_to_decode() -> None:
    assert set(ENCODINGS) == set(get_args(StoredDtype))
    ways = {(each.torch_dtype, type(each), each.constants) for each in ENCODINGS.values()}
    assert len(ways) == len({encoding.torch_dtype for encoding in ENCODINGS.values()})


@pytest.mark.parametrize("dtype", get_args(StoredDtype))
def test_encodings_say_what_they_make_of_any_map(dtype: StoredDtype) -> None:
    encoding = ENCODINGS[dtype]
    values = torch.randn(7, 9, 5)[:, 1:8]
    stored, constants = encoding.encode(values)
    assert stored.dtype == encoding.torch_dtype
    assert stored.is_contiguous()
    assert tuple(constants) == encoding.constants
    assert stored.shape == (7, 7, encoding.width(5))
    assert stored.nbytes == 7 * 7 * encoding.width(5) * encoding.itemsize
    assert sum(c.nbytes for c in constants.values()) == 5 * encoding.constant_bytes
    assert encoding.is_finite(stored, constants)
    assert ENCODINGS[encoding.query_dtype].constants == ()


@pytest.mark.parametrize("dtype", get_args(StoredDtype))
def test_decoding_a_padded_batch_is_decoding_each_of_its_maps(dtype: StoredDtype) -> None:
    maps = [torch.randn(4, 6, 5), 100 * torch.randn(3, 7, 5)]
    pairs = [ENCODINGS[dtype].encode(m) for m in maps]
    padded = torch.zeros(2, 4, 7, ENCODINGS[dtype].width(5), dtype=pairs[0][0].dtype)
    padded[0, :4, :6], padded[1, :3, :7] = pairs[0][0], pairs[1][0]
    names = ENCODINGS[dtype].constants
    together = decode_maps(padded, {n: torch.stack([p[1][n] for p in pairs]) for n in names})
    for index, (stored, constants) in enumerate(pairs):
        height, width, _ = stored.shape
        single = decode_maps(stored, constants)
        assert torch.equal(together[index, :height, :width], single)
        error = (single.double() - maps[index].double()).abs().max()
        step = maps[index].square().mean().sqrt() * 0.8 if dtype == "coarse" else 0
        assert error <= max(maps[index].abs().max() / STEPS.get(dtype, 250), 0.5001 * step)


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


@pytest.mark.parametrize("dtype", ["int8", "int4"])
def test_encoding_a_large_cropped_map_is_encoding_each_of_its_positions(dtype: StoredDtype) -> None:
    encoding = ENCODINGS[dtype]
    values = torch.randn(90, 71, 67)[1:, :-3, 2:]  # more than is worked on at a time
    stored, constants = encoding.encode(values)
    steps = {
        "int8": lambda v: (v.abs().amax((0, 1)) / 127, torch.zeros(65)),
        "int4": lambda v: ((v.amax((0, 1)) - v.amin((0, 1))) / 15, v.amin((0, 1))),
    }
    scale, offset = steps[dtype](values)
    found = decode_maps(stored, constants)
    expected = ((values - offset) / scale).round() * scale + offset
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-5)
    for rounded in (torch.bfloat16, torch.float16):
        of_half, constants = encoding.encode(values.to(rounded))
        of_float, expected_constants = encoding.encode(values.to(rounded).float())
        assert torch.equal(of_half, of_float)
        torch.testing.assert_close(constants, expected_constants, rtol=0, atol=0)


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


def test_coarse_values_are_multiples_of_one_step_for_all_channels() -> None:
    values = torch.randn(30, 70, 9)[:, :-3] * torch.linspace(0.1, 2, 9)
    stored, constants = ENCODINGS["coarse"].encode(values)
    step = 0.8 * values.double().square().mean().sqrt()
    torch.testing.assert_close(constants["scale"].double(), step.expand(9), rtol=1e-6, atol=0)
    assert torch.equal(stored, values.div(constants["scale"][0]).round().to(torch.int8))
    of_parts = ENCODINGS["coarse"].encode(values.clone(memory_format=torch.contiguous_format))
    assert torch.equal(of_parts[1]["scale"], constants["scale"])


def test_coarse_step_is_as_large_as_the_largest_value_needs() -> None:
    values = torch.zeros(100, 200, 3)
    values[7, 9, 1] = -1e6
    stored, constants = ENCODINGS["coarse"].encode(values)
    assert stored.min() == -127
    assert decode_maps(stored, constants)[7, 9].tolist() == pytest.approx([0, -1e6, 0])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38])
def test_coarse_step_of_a_map_without_a_finite_one_is_not_finite(value: float) -> None:
    values = uneven(0)
    values[11, 7] = value
    stored, constants = ENCODINGS["coarse"].encode(values)
    assert not ENCODINGS["coarse"].is_finite(stored, constants)


@pytest.mark.parametrize("dtype", STEPS)
@pytest.mark.parametrize("seed", range(3))
def test_packed_values_are_within_half_a_step_and_reach_both_ends(
    dtype: StoredDtype, seed: int
) -> None:
    values = uneven(seed)[None] + 2
    stored, constants = ENCODINGS[dtype].encode(values)
    assert stored.shape == (1, 37, 7)  # 13 channels, two in a byte
    back = decode_maps(stored, constants).double()
    least, largest = (end(values.double().flatten(0, 1), 0) for end in (torch.amin, torch.amax))
    half_a_step = (largest - least) / STEPS[dtype] / 2
    rounding = 4e-7 * values.double().abs()
    assert ((back - values.double()).abs() <= half_a_step * (1 + 1e-5) + rounding).all()
    for end, expected in ((torch.amin, least), (torch.amax, largest)):
        torch.testing.assert_close(end(back.flatten(0, 1), 0), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", STEPS)
def test_packed_codes_are_where_the_formula_says(dtype: StoredDtype) -> None:
    encoding, steps = ENCODINGS[dtype], STEPS[dtype]
    codes = torch.randint(0, steps + 1, (11, 3, 5))
    codes[0, 0], codes[0, 1] = 0, steps  # so that the scale is one
    stored, constants = encoding.encode(codes - 4.0)
    assert torch.equal(constants["offset"], torch.full((5,), -4.0))
    assert torch.equal(constants["scale"], torch.ones(5))
    assert torch.equal(stored & 15, codes[..., :3].to(torch.uint8))
    assert torch.equal(stored[..., :2] >> 4, codes[..., 3:].to(torch.uint8))
    assert not (stored[..., 2] >> 4).any()  # the place of a sixth channel


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 3e38])
def test_packed_constants_of_a_channel_without_a_finite_range_are_not_finite(value: float) -> None:
    values = uneven(0)
    values[11, 7], values[12, 7] = value, -value
    stored, constants = ENCODINGS["int4"].encode(values)
    assert (~constants["scale"].isfinite()).nonzero().flatten().tolist() == [7]
    assert not ENCODINGS["int4"].is_finite(stored, constants)
