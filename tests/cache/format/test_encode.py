from dataclasses import replace
from typing import get_args

import pytest
import torch

from mfd.cache.format.encode import encode_batch, encode_features
from mfd.cache.format.encodings import ENCODINGS, decode_maps
from mfd.config import StoredDtype
from mfd.detectors import ImageFeatures
from mfd.errors import StoreError
from tests.builders.features import make_features, make_identity

IMAGE = make_identity(5).images[1]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_encoding_to_floats_rounds_everything_but_the_boxes(dtype: StoredDtype) -> None:
    features = make_features(IMAGE)
    encoded = encode_features(features, dtype)
    rounded = getattr(torch, dtype)
    assert torch.equal(encoded.boxes, features.boxes)
    for ours, exact in zip(
        (encoded.queries, encoded.logits, encoded.c1, *encoded.memory),
        (features.queries, features.logits, features.c1, *features.memory),
        strict=True,
    ):
        assert ours is not None
        assert exact is not None
        assert ours.dtype == rounded
        assert torch.equal(ours, exact.to(rounded))
    assert (encoded.memory_constants, encoded.c1_constants) == ({}, {})


@pytest.mark.parametrize("c1", [True, False])
def test_encoding_to_int8_errs_half_a_step_of_each_channel_and_level(c1: bool) -> None:
    features = make_features(IMAGE)
    features.memory[0][..., 3] *= 100  # in one level only
    encoded = encode_features(features if c1 else replace(features, c1=None), "int8")
    assert torch.equal(encoded.queries, features.queries.half())
    assert torch.equal(encoded.logits, features.logits.half())
    assert torch.equal(encoded.boxes, features.boxes)
    assert {m.dtype for m in encoded.memory} == {torch.int8}
    assert encoded.memory_constants["scale"].shape == (2, 12)
    for level, (ours, exact) in enumerate(zip(encoded.memory, features.memory, strict=True)):
        half_a_step = exact.abs().amax((0, 1)) / 254
        back = decode_maps(ours, {"scale": encoded.memory_constants["scale"][level]})
        assert ((back - exact).abs() <= half_a_step * 1.0001).all()
    assert (encoded.c1 is None, bool(encoded.c1_constants)) == (not c1, c1)
    if encoded.c1 is not None:
        assert features.c1 is not None
        half_a_step = features.c1.abs().amax((0, 1)) / 254
        back = decode_maps(encoded.c1, encoded.c1_constants)
        assert ((back - features.c1).abs() <= half_a_step * 1.0001).all()


@pytest.mark.parametrize("dtype", get_args(StoredDtype))
def test_encoding_a_view_gives_maps_of_their_own_size_alone(dtype: StoredDtype) -> None:
    features = make_features(IMAGE)
    cropped = replace(features, memory=[level[:-1, 1:] for level in features.memory])
    encoded = encode_features(cropped, dtype)
    for ours, exact in zip(encoded.memory, cropped.memory, strict=True):
        assert ours.is_contiguous()
        assert torch.equal(ours, ENCODINGS[dtype].encode(exact.clone())[0])


@pytest.mark.parametrize("dtype", get_args(StoredDtype))
def test_encoding_a_batch_is_encoding_its_images_and_names_the_bad_one(dtype: StoredDtype) -> None:
    images = make_identity(5).images[:3]
    batch = [make_features(image) for image in images]
    for found, alone in zip(encode_batch(batch, dtype), batch, strict=True):
        for name, value in vars(encode_features(alone, dtype)).items():
            torch.testing.assert_close(getattr(found, name), value, rtol=0, atol=0)
    batch[1].boxes[2, 1] = float("nan")
    with pytest.raises(StoreError, match=f"image {images[1].image_id}: boxes hold NaN"):
        encode_batch(batch, dtype)
    assert encode_batch([], dtype) == []


def spoiled(field: str, value: float) -> ImageFeatures:
    features = make_features(IMAGE)
    tensor = getattr(features, field)
    (tensor[-1] if isinstance(tensor, list) else tensor).view(-1)[3] = value
    return features


@pytest.mark.parametrize("field", ["queries", "boxes", "logits", "memory", "c1"])
@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
@pytest.mark.parametrize("dtype", get_args(StoredDtype))
def test_encoding_refuses_a_value_that_is_not_finite_naming_the_image(
    field: str, value: float, dtype: StoredDtype
) -> None:
    with pytest.raises(StoreError, match=f"image {IMAGE.image_id}: {field} hold NaN or infinity"):
        encode_features(spoiled(field, value), dtype)


def test_encoding_refuses_a_value_beyond_float16_with_the_way_out() -> None:
    features = spoiled("memory", 70000.0)
    with pytest.raises(StoreError, match=r"memory reach 7e\+04, more than float16 holds.*float32"):
        encode_features(features, "float16")
    assert encode_features(features, "float32").memory[-1].max() == 70000
    assert encode_features(features, "int8").memory_constants["scale"].max() == torch.tensor(
        70000.0
    ).div(127)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", get_args(StoredDtype))
def test_encoding_on_a_gpu_gives_what_the_cpu_gives(dtype: StoredDtype) -> None:
    features = make_features(IMAGE)
    assert features.c1 is not None
    on_gpu = replace(
        features,
        queries=features.queries.cuda(),
        boxes=features.boxes.cuda(),
        logits=features.logits.cuda(),
        memory=[level.cuda() for level in features.memory],
        c1=features.c1.cuda(),
    )
    found, expected = encode_features(on_gpu, dtype), encode_features(features, dtype)
    for name, value in vars(expected).items():
        torch.testing.assert_close(getattr(found, name), value, rtol=0, atol=0)
