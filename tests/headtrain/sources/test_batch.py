from dataclasses import replace

import torch

from tests.builders.runs import make_batch


def test_maps_and_queries_of_any_type_arrive_in_float32_and_the_rest_as_it_is() -> None:
    batch = make_batch()
    half = replace(batch, features=batch.features.to("cpu", torch.float16))
    moved = half.to("meta")
    assert moved.features.c1 is not None
    for maps in (*moved.features.memory, moved.features.c1, moved.features.queries):
        assert (maps.dtype, maps.device.type) == (torch.float32, "meta")
    assert moved.crops.dtype == torch.uint8
    assert moved.features.labels.dtype == moved.features.memory_hw.dtype == torch.int64
    tensors = (moved.crops, moved.area_ratio, *vars(moved.features).values())
    assert all(t.is_meta for t in tensors if isinstance(t, torch.Tensor))
    assert moved.image_names == batch.image_names


def test_moving_changes_no_value() -> None:
    batch = make_batch()
    half = batch.features.to("cpu", torch.float16)
    for before, after in zip(half.memory, half.to("cpu", torch.float32).memory, strict=True):
        assert torch.equal(after, before.float())
    assert torch.equal(half.boxes, batch.features.boxes)
