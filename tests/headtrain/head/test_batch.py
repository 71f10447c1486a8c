"""Several images in one batch: padding, order, and which box is on which image."""

from dataclasses import replace

import torch
from mfd.cache.format.quantise import quantise

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


def test_each_image_keeps_its_maps_and_padding_is_zero() -> None:
    images = [make_image(1, (5, 9)), make_image(2, (7, 3))]
    chosen = [torch.tensor([3, 0]), torch.tensor([4])]
    batch = collate(images, chosen, [torch.tensor([1, 2]), torch.tensor([0])])
    assert batch.c1 is not None
    for i, image in enumerate(images):
        maps = [*image.memory, image.c1]
        sizes = [*batch.memory_hw[i].tolist(), batch.c1_hw[i].tolist()]
        for single, padded, (h, w) in zip(maps, [*batch.memory, batch.c1], sizes, strict=True):
            assert single is not None
            assert tuple(single.shape[:2]) == (h, w)
            assert torch.equal(padded[i, :h, :w], single.float())
            assert padded[i].abs().sum() == padded[i, :h, :w].abs().sum()


def quantised(image: ImageFeatures) -> ImageFeatures:
    """The image as an int8 store gives it."""
    assert image.c1 is not None
    pairs = [quantise(m.float().flatten(0, 1)) for m in (*image.memory, image.c1)]
    maps = [p[0].view(*m.shape) for p, m in zip(pairs, (*image.memory, image.c1), strict=True)]
    scales = [p[1] for p in pairs]
    return replace(
        image, memory=maps[:-1], c1=maps[-1], memory_scale=torch.stack(scales[:-1]),
        c1_scale=scales[-1],
    )  # fmt: skip


def test_int8_maps_become_the_same_floats_while_collated_and_on_the_device() -> None:
    images = [quantised(make_image(1, (5, 9))), quantised(make_image(2, (7, 3)))]
    chosen = [torch.tensor([3, 0]), torch.tensor([4])]
    labels = [torch.tensor([1, 2]), torch.tensor([0])]
    at_once = collate(images, chosen, labels)
    stored = collate(images, chosen, labels, None)
    assert stored.memory[0].dtype == torch.int8
    assert stored.queries.dtype == torch.float16
    later = stored.to("cpu", torch.float32)
    expected = collate([image.dequantised() for image in images], chosen, labels)
    for batch in (at_once, later):
        for name, value in vars(expected).items():
            torch.testing.assert_close(getattr(batch, name), value, rtol=0, atol=0)
    assert (stored.to("cpu").memory_scale is None, later.memory_scale) == (False, None)


def test_int8_maps_without_the_recomputed_c1_keep_it_as_it_is() -> None:
    image = replace(quantised(make_image(1, (5, 9))), c1=torch.randn(10, 18, 6), c1_scale=None)
    stored = collate([image], [torch.tensor([0])], [torch.tensor([0])], None)
    batch = stored.to("cpu", torch.float32)
    assert batch.c1 is not None
    assert image.c1 is not None
    assert torch.equal(batch.c1[0], image.c1)


def test_boxes_come_image_by_image_in_the_order_asked_for() -> None:
    images = [make_image(1, (5, 9)), make_image(2, (4, 4)), make_image(3, (7, 3))]
    chosen = [torch.tensor([3, 0]), torch.tensor([], dtype=torch.long), torch.tensor([4])]
    labels = [torch.tensor([1, 2]), torch.tensor([], dtype=torch.long), torch.tensor([0])]
    batch = collate(images, chosen, labels)
    assert batch.image_index.tolist() == [0, 0, 2]
    assert batch.labels.tolist() == [1, 2, 0]
    expected = torch.stack([images[0].queries[3], images[0].queries[0], images[2].queries[4]])
    assert torch.equal(batch.queries, expected.float())
    assert torch.equal(batch.boxes[2], images[2].boxes[4])


def test_a_store_without_c1_gives_a_batch_without_c1() -> None:
    batch = collate([make_image(1, (5, 9), c1=False)], [torch.tensor([0])], [torch.tensor([0])])
    assert batch.c1 is None
    assert batch.c1_hw.tolist() == [[0, 0]]
