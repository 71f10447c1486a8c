from dataclasses import replace
from math import ceil
from typing import get_args

import pytest

from mfd.cache.format.encode import encode_features
from mfd.cache.format.plan import Plan, make_plan, planned_bytes, resized_sizes
from mfd.cache.format.records import StoreImage
from mfd.config import Profile, StoredDtype
from mfd.images.preprocessing import Preprocessing
from tests.builders.features import SPEC, make_features, make_identity

COCO = [(480, 640), (640, 480), (427, 640), (640, 427), (333, 500), (640, 640), (240, 640)] * 40


def coco_plan(**fields: object) -> tuple[Plan, list[int]]:
    spec = replace(SPEC, dim=256, c1_channels=256, strides=(8, 16, 32, 64))
    spec = replace(spec, **{"preprocessing": Preprocessing(), **fields})
    identity = make_identity(len(COCO), spec)
    images = tuple(replace(i, original_hw=hw) for i, hw in zip(identity.images, COCO, strict=True))
    sizes = resized_sizes(spec.preprocessing, images)
    tokens = [sum(ceil(h / s) * ceil(w / s) for s in spec.strides) for h, w in sizes]
    return make_plan(spec, "float16", images), tokens


def test_the_largest_image_fits_with_one_more_row_and_column_per_map() -> None:
    plan, tokens = coco_plan()
    height, width = 800, 1067
    larger = sum((ceil(height / s) + 1) * (ceil(width / s) + 1) for s in (8, 16, 32, 64))
    assert plan.tokens >= max(larger, *tokens)
    assert plan.pixels >= (800 // 4 + 1) * (1067 // 4 + 2)


def test_chunks_of_a_mix_of_sizes_waste_at_most_three_percent() -> None:
    plan, tokens = coco_plan()
    stored = sum(ceil(n / plan.token_chunk) * plan.token_chunk for n in tokens)
    assert stored <= 1.03 * sum(tokens)
    assert plan.token_chunk * 256 * 2 <= 2 << 20
    assert plan.tokens % plan.token_chunk == plan.pixels % plan.pixel_chunk == 0


def test_images_of_one_size_have_a_single_chunk_and_no_waste() -> None:
    fixed = Preprocessing(size_hw=(640, 640))
    plan, tokens = coco_plan(preprocessing=fixed, dim=96, strides=(16, 32))
    assert plan.token_chunk == tokens[0] == 40 * 40 + 20 * 20


def test_resized_sizes_follow_the_shorter_and_the_longer_side() -> None:
    images = [StoreImage(i, "", hw, "") for i, hw in enumerate([(480, 640), (100, 640)])]
    rule = Preprocessing(shorter_side=800, longer_side=1333)
    assert resized_sizes(rule, images) == [(800, 1067), (209, 1333)]
    assert resized_sizes(Preprocessing(size_hw=(640, 480)), images) == [(640, 480)] * 2


@pytest.mark.parametrize("dtype", get_args(StoredDtype))
@pytest.mark.parametrize("profile", get_args(Profile))
def test_planned_bytes_are_those_of_all_values(profile: Profile, dtype: StoredDtype) -> None:
    image = replace(make_identity(1).images[0], original_hw=(64, 96))
    spec = replace(SPEC, preprocessing=Preprocessing(size_hw=(64, 96)))
    features = encode_features(make_features(image, spec), dtype)
    c1 = [] if features.c1 is None else [features.c1, *features.c1_constants.values()]
    left_out = 0 if profile == "full" else sum(tensor.nbytes for tensor in c1)
    assert planned_bytes(spec, profile, dtype, [(64, 96)]) == features.num_bytes - left_out
