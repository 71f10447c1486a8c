from dataclasses import replace

import numpy as np
import pytest
import torch

from mfd.cache.format.plan import make_plan
from mfd.cache.format.rows import from_rows, to_rows
from mfd.detectors.image_features import ImageFeatures
from mfd.errors import StoreError
from tests.cache.material import SPEC, make_features, make_identity

IDENTITY = make_identity(5)
PLAN = make_plan(IDENTITY)
IMAGE = IDENTITY.images[1]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_features_survive_the_way_there_and_back_in_the_stored_type(dtype: str) -> None:
    features = make_features(IMAGE)
    rows, sizes = to_rows(features, make_identity(5, dtype=dtype), PLAN)
    back = from_rows(rows, sizes, IMAGE.image_id, IMAGE.original_hw, SPEC)
    kept = getattr(torch, dtype)
    assert (back.image_id, back.original_hw) == (IMAGE.image_id, IMAGE.original_hw)
    assert back.input_hw == features.input_hw
    assert torch.equal(back.boxes, features.boxes)
    assert torch.equal(back.queries, features.queries.to(kept))
    assert torch.equal(back.logits, features.logits.to(kept))
    assert back.c1 is not None
    assert features.c1 is not None
    assert torch.equal(back.c1, features.c1.to(kept))
    for ours, theirs in zip(back.memory, features.memory, strict=True):
        assert torch.equal(ours, theirs.to(kept))


@pytest.mark.parametrize("profile", ["full", "lite"])
def test_int8_maps_err_half_a_step_of_their_channel_and_level(profile: str) -> None:
    features = make_features(IMAGE)
    features.memory[0][..., 3] *= 100  # in one level only
    rows, sizes = to_rows(features, make_identity(5, dtype="int8", profile=profile), PLAN)
    stored = from_rows(rows, sizes, IMAGE.image_id, IMAGE.original_hw, SPEC)
    assert torch.equal(stored.queries, features.queries.half())
    assert torch.equal(stored.logits, features.logits.half())
    assert torch.equal(stored.boxes, features.boxes)
    assert {m.dtype for m in stored.memory} == {torch.int8}
    back = stored.dequantised()
    for ours, exact in zip(back.memory, features.memory, strict=True):
        half_a_step = exact.abs().amax((0, 1)) / 254
        assert ((ours - exact).abs() <= half_a_step * 1.0001).all()
    assert (back.c1 is None) == (profile == "lite")
    if back.c1 is not None:
        assert features.c1 is not None
        half_a_step = features.c1.abs().amax((0, 1)) / 254
        assert ((back.c1 - features.c1).abs() <= half_a_step * 1.0001).all()
    assert (back.memory_scale, back.c1_scale) == (None, None)


def test_features_that_are_floats_stay_as_they_are_when_dequantised() -> None:
    features = make_features(IMAGE)
    assert features.dequantised() == features


def test_tokens_are_the_levels_finest_first_each_row_by_row() -> None:
    features = make_features(IMAGE)
    tokens = to_rows(features, IDENTITY, PLAN)[0]["enc/tokens"]
    width = features.memory[0].shape[1]
    finest = features.memory[0].shape[0] * width
    assert np.array_equal(tokens[width + 2], features.memory[0][1, 2].half().numpy())
    assert np.array_equal(tokens[finest], features.memory[1][0, 0].half().numpy())


def test_a_lite_store_leaves_c1_out_and_needs_none() -> None:
    rows, sizes = to_rows(
        replace(make_features(IMAGE), c1=None), make_identity(5, profile="lite"), PLAN
    )
    assert "c1/map" not in rows
    assert sizes.c1_hw == (0, 0)
    assert from_rows(rows, sizes, IMAGE.image_id, IMAGE.original_hw, SPEC).c1 is None


def spoiled(field: str, value: float) -> ImageFeatures:
    features = make_features(IMAGE)
    tensor = getattr(features, field)
    (tensor[0] if isinstance(tensor, list) else tensor).view(-1)[3] = value
    return features


@pytest.mark.parametrize("field", ["queries", "boxes", "logits", "memory", "c1"])
@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
@pytest.mark.parametrize("dtype", ["float16", "int8", "float32"])
def test_a_value_that_is_not_finite_is_refused_naming_the_image(
    field: str, value: float, dtype: str
) -> None:
    with pytest.raises(StoreError, match=f"image {IMAGE.image_id}: {field} hold NaN or infinity"):
        to_rows(spoiled(field, value), make_identity(5, dtype=dtype), PLAN)


def test_a_value_beyond_float16_is_refused_with_the_way_out_and_fits_float32() -> None:
    features = spoiled("memory", 70000.0)
    with pytest.raises(StoreError, match=r"memory reach 7e\+04, more than float16 holds.*float32"):
        to_rows(features, IDENTITY, PLAN)
    rows, _ = to_rows(features, make_identity(5, dtype="float32"), PLAN)
    assert rows["enc/tokens"].max() == 70000
    rows, _ = to_rows(features, make_identity(5, dtype="int8"), PLAN)
    assert rows["enc/scale"].max() == np.float32(70000) / 127


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"queries": torch.zeros(7, 13)}, r"dec/query has shape \(7, 13\)"),
        ({"boxes": torch.zeros(6, 4)}, r"dec/box has shape \(6, 4\)"),
        ({"memory": [torch.zeros(2, 3, 12)]}, "has 1 encoder maps, expected 2"),
        ({"memory": [torch.zeros(90, 90, 12)] * 2}, r"enc/tokens has shape \(16200, 12\)"),
        ({"c1": torch.zeros(9, 9, 4)}, r"c1/map has shape \(81, 4\)"),
        ({"c1": None}, "comes without c1"),
    ],
)
def test_a_shape_against_the_spec_or_the_plan_is_refused_naming_the_image(
    changed: dict[str, object], message: str
) -> None:
    features = replace(make_features(IMAGE), **changed)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=f"image {IMAGE.image_id}.*{message}"):
        to_rows(features, IDENTITY, PLAN)
