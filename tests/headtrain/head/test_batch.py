"""Several images in one batch: padding, order, and which box is on which image."""

from dataclasses import replace
from typing import get_args

import pytest
import torch

from mfd.cache import decode_maps, encode_features
from mfd.cache.format.encodings import ENCODINGS
from mfd.config import StoredDtype
from mfd.detectors.image_features import ImageFeatures
from mfd.headtrain.head.batch import collate


def make_image(image_id: int, heights: tuple[int, int], c1: bool = True) -> ImageFeatures:
    h, w = heights
    return ImageFeatures(
        image_id=image_id,
        original_hw=(40, 60),
        input_hw=(4 * h, 4 * w),
        queries=torch.randn(5, 12).half(),
        boxes=torch.rand(5, 4),
        logits=torch.randn(5, 3),
        memory=[torch.randn(h, w, 12).half(), torch.randn((h + 1) // 2, (w + 1) // 2, 12).half()],
        c1=torch.randn(2 * h, 2 * w, 6).half() if c1 else None,
    )


CHOSEN = [torch.tensor([3, 0]), torch.tensor([4])]
LABELS = [torch.tensor([1, 2]), torch.tensor([0])]


def test_maps_are_padded_with_zeros_and_otherwise_as_stored() -> None:
    images = [make_image(1, (5, 9)), make_image(2, (7, 3))]
    batch = collate(images, CHOSEN, LABELS)
    assert batch.c1 is not None
    for i, image in enumerate(images):
        maps = [*image.memory, image.c1]
        sizes = [*batch.memory_hw[i].tolist(), batch.c1_hw[i].tolist()]
        for single, padded, (h, w) in zip(maps, [*batch.memory, batch.c1], sizes, strict=True):
            assert single is not None
            assert tuple(single.shape[:2]) == (h, w)
            assert padded.dtype == single.dtype
            assert torch.equal(padded[i, :h, :w], single)
            assert padded[i].count_nonzero() == padded[i, :h, :w].count_nonzero()


@pytest.mark.parametrize("stored", get_args(StoredDtype))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("count", [1, 2])
def test_stored_maps_become_floats_on_the_device(
    stored: StoredDtype, dtype: torch.dtype, count: int
) -> None:
    exact = [make_image(1, (5, 9)), make_image(2, (7, 3))][:count]
    images = [encode_features(image, stored) for image in exact]
    batch = collate(images, CHOSEN[:count], LABELS[:count])
    kept = [level.clone() for level in batch.memory]
    assert {m.dtype for m in batch.memory} == {ENCODINGS[stored].torch_dtype}
    found = batch.to("cpu", dtype)
    assert (found.memory_constants, found.c1_constants) == ({}, {})
    assert found.c1 is not None
    assert {t.dtype for t in (*found.memory, found.c1, found.queries)} == {dtype}
    for i, image in enumerate(images):
        constants = [
            {name: values[level] for name, values in image.memory_constants.items()}
            for level in range(2)
        ]
        for padded, single, beside in zip(
            (*found.memory, found.c1),
            (*image.memory, image.c1),
            (*constants, image.c1_constants),
            strict=True,
        ):
            assert single is not None
            height, width = single.shape[:2]
            assert torch.equal(padded[i, :height, :width], decode_maps(single, beside).to(dtype))
            if "offset" not in beside:  # else padding has the offset until the head clears it
                assert not padded[i, height:].any()
                assert not padded[i, :, width:].any()
    for before, after in zip(kept, batch.memory, strict=True):
        assert torch.equal(before, after)  # what is stored is not written to


def test_a_recomputed_c1_beside_int8_maps_stays_as_it_is() -> None:
    image = encode_features(make_image(1, (5, 9), c1=False), "int8")
    image.c1 = torch.randn(10, 18, 6)
    batch = collate([image], CHOSEN[:1], LABELS[:1]).to("cpu")
    assert batch.c1 is not None
    assert torch.equal(batch.c1[0], image.c1)


def test_a_c1_that_is_left_out_leaves_no_constants() -> None:
    image = replace(encode_features(make_image(1, (5, 9)), "int8"), c1=None)
    batch = collate([image], CHOSEN[:1], LABELS[:1])
    assert (batch.c1, batch.c1_constants) == (None, {})


def test_boxes_come_image_by_image_in_the_order_asked_for() -> None:
    images = [make_image(1, (5, 9)), make_image(2, (4, 4)), make_image(3, (7, 3))]
    chosen = [torch.tensor([3, 0]), torch.tensor([], dtype=torch.long), torch.tensor([4])]
    labels = [torch.tensor([1, 2]), torch.tensor([], dtype=torch.long), torch.tensor([0])]
    batch = collate(images, chosen, labels)
    assert batch.image_index.tolist() == [0, 0, 2]
    assert batch.labels.tolist() == [1, 2, 0]
    expected = torch.stack([images[0].queries[3], images[0].queries[0], images[2].queries[4]])
    assert torch.equal(batch.queries, expected)
    assert torch.equal(batch.boxes[2], images[2].boxes[4])


def test_a_store_without_c1_gives_a_batch_without_c1() -> None:
    batch = collate([make_image(1, (5, 9), c1=False)], [torch.tensor([0])], [torch.tensor([0])])
    assert batch.c1 is None
    assert batch.c1_hw.tolist() == [[0, 0]]
