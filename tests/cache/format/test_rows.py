from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch

from mfd.cache.format.encode import encode_features
from mfd.cache.format.layout import ArrayLayout, data_arrays
from mfd.cache.format.plan import make_plan
from mfd.cache.format.rows import from_rows, to_rows
from mfd.config import Profile, StoredDtype
from mfd.errors import StoreError
from tests.builders.features import SPEC, make_features, make_identity

IMAGES = make_identity(5).images
IMAGE = IMAGES[1]


def arrays(profile: Profile = "full", dtype: StoredDtype = "float16") -> tuple[ArrayLayout, ...]:
    return data_arrays(SPEC, profile, dtype, 5, make_plan(SPEC, dtype, IMAGES))


@pytest.mark.parametrize("dtype", get_args(StoredDtype))
@pytest.mark.parametrize("profile", get_args(Profile))
def test_encoded_features_survive_the_way_there_and_back(
    profile: Profile, dtype: StoredDtype
) -> None:
    encoded = encode_features(make_features(IMAGE), dtype)
    layout = arrays(profile, dtype)
    rows, sizes = to_rows(encoded, SPEC, profile, layout)
    read = {array.name: np.concatenate(rows[array.name]) for array in layout}
    back = from_rows(read, sizes, IMAGE.image_id, IMAGE.original_hw, SPEC)
    expected = encoded if profile == "full" else replace(encoded, c1=None, c1_constants={})
    for name, value in vars(expected).items():
        if isinstance(value, int | tuple):
            assert getattr(back, name) == value
        else:
            torch.testing.assert_close(getattr(back, name), value, rtol=0, atol=0)


def test_tokens_are_the_levels_finest_first_each_row_by_row() -> None:
    features = make_features(IMAGE)
    rows, _ = to_rows(encode_features(features, "float16"), SPEC, "full", arrays())
    tokens = np.concatenate(rows["enc/tokens"])
    width = features.memory[0].shape[1]
    finest = features.memory[0].shape[0] * width
    assert np.array_equal(tokens[width + 2], features.memory[0][1, 2].half().numpy())
    assert np.array_equal(tokens[finest], features.memory[1][0, 0].half().numpy())


def test_a_lite_store_leaves_c1_out_and_needs_none() -> None:
    features = encode_features(replace(make_features(IMAGE), c1=None), "float16")
    rows, sizes = to_rows(features, SPEC, "lite", arrays("lite"))
    assert "c1/map" not in rows
    assert sizes.c1_hw == (0, 0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"queries": torch.zeros(7, 13)}, r"dec/query has shape \(7, 13\)"),
        ({"boxes": torch.zeros(6, 4)}, r"dec/box has shape \(6, 4\)"),
        ({"memory": [torch.zeros(2, 3, 12)]}, "has 1 maps for enc/tokens, expected 2"),
        ({"memory": [torch.zeros(90, 90, 12)] * 2}, r"enc/tokens has shape \(16200, (12|6)\)"),
        ({"c1": torch.zeros(9, 9, 4)}, r"c1/map has shape \(81, (4|2)\)"),
        ({"c1": None}, "has 0 maps for c1/map, expected 1.* another --profile"),
    ],
)
@pytest.mark.parametrize("dtype", get_args(StoredDtype))
def test_a_shape_against_the_spec_or_the_plan_is_refused_naming_the_image(
    changed: dict[str, object], message: str, dtype: StoredDtype
) -> None:
    features = replace(make_features(IMAGE), **changed)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=f"image {IMAGE.image_id}.*{message}"):
        to_rows(encode_features(features, dtype), SPEC, "full", arrays(dtype=dtype))


def test_features_without_the_constants_of_the_store_are_refused() -> None:
    encoded = encode_features(make_features(IMAGE), "int8")
    stripped = replace(encoded, memory_constants={})
    with pytest.raises(StoreError, match="enc/scale is nothing, the store holds float32"):
        to_rows(stripped, SPEC, "full", arrays(dtype="int8"))
