"""A batch taken apart: no padding, every image as if it were alone, shapes as promised."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from mfd.detectors import ImageFeatures, detect, detect_all
from mfd.detectors.image_features import copy_together
from mfd.detectors.load import load_detector
from mfd.detectors.padding import padding_step, valid_sizes
from mfd.errors import ConfigError, DetectorError
from mfd.images import LoadedImage, collate_images
from mfd.images.preprocessing import Preprocessing

TINY = Path(__file__).parents[1] / "builders" / "tiny.py"


def loaded(*size_hw: int) -> LoadedImage:
    return LoadedImage(torch.randn(3, *size_hw), (2 * size_hw[0], 3 * size_hw[1]))


def test_valid_sizes_are_those_of_the_mask_resized_to_nearest() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        height, width, h, w = torch.randint(3, 90, (4,), generator=generator).tolist()
        map_h, map_w = -(-height // 3), -(-width // 5)
        h, w = min(h, height), min(w, width)
        _, mask = collate_images([torch.zeros(3, h, w), torch.zeros(3, height, width)])
        resized = F.interpolate((~mask)[:, None].float(), size=(map_h, map_w), mode="nearest")[:, 0]
        expected = [(int(image[:, 0].sum()), int(image[0].sum())) for image in resized]
        assert valid_sizes(mask, torch.zeros(2, map_h, map_w, 1)) == expected


def test_features_are_the_detectors_own_output_without_padding() -> None:
    detector = load_detector(f"{TINY}:detector")
    images = [loaded(40, 53), loaded(32, 64), loaded(17, 29)]
    found = detect(detector, images, [7, 3, 9])
    batch, mask = collate_images([image.pixels for image in images], 16)
    output = detector(batch, mask)
    assert [features.image_id for features in found] == [7, 3, 9]
    for row, (features, image) in enumerate(zip(found, images, strict=True)):
        assert features.original_hw == image.original_hw
        assert features.input_hw == image.input_hw
        assert torch.equal(features.queries, output.queries[row])
        assert torch.equal(features.boxes, output.boxes[row])
        assert torch.equal(features.logits, output.logits[row])
        for level, whole in zip(
            [*features.memory, features.c1], [*output.memory, output.c1], strict=True
        ):
            h, w = level.shape[:2]
            assert torch.equal(level, whole[row, :h, :w])
    sizes = [tuple(level.shape[:2]) for level in found[2].memory]
    assert sizes == [(3, 4), (2, 2)]
    assert found[2].c1.shape == (5, 8, 6)


@pytest.mark.parametrize("batch_size", [2, 3, 7])
def test_features_of_an_image_are_the_same_in_every_batch(batch_size: int) -> None:
    detector = load_detector(f"{TINY}:detector")  # whose queries see the padding, too
    sizes = [(40, 53), (64, 32), (33, 70), (41, 64), (40, 53), (65, 90), (64, 29), (35, 80)]
    images = [loaded(*size) for size in sizes]
    together = detect_all(detector, images, [*range(8)], batch_size=batch_size)
    assert [features.image_id for features in together] == [*range(8)]
    for features, image in zip(together, images, strict=True):
        (alone,) = detect(detector, [image], [features.image_id])
        tensors = [(alone.queries, features.queries), (alone.boxes, features.boxes)]
        tensors += zip(alone.memory, features.memory, strict=True)
        assert alone.c1 is not None
        assert features.c1 is not None
        for mine, theirs in (*tensors, (alone.c1, features.c1)):
            assert mine.shape == theirs.shape
            torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5)


def test_padding_goes_to_the_coarsest_stride_and_is_none_for_inputs_of_one_size() -> None:
    spec = load_detector(f"{TINY}:detector").spec
    assert padding_step(spec) == 16
    assert padding_step(replace(spec, strides=(14, 28))) == 28
    assert padding_step(replace(spec, strides=(8, 16, 32, 64))) == 32
    assert padding_step(replace(spec, strides=(64,))) == 32
    fixed = replace(spec, preprocessing=Preprocessing(size_hw=(37, 101)))
    assert padding_step(fixed) == 1


def test_each_batch_is_finished_before_the_next_is_computed() -> None:
    detector = load_detector(f"{TINY}:detector")
    events: list[str] = []
    hook = detector.register_forward_hook(lambda *_: events.append("batch"))

    def finish(batch: list[ImageFeatures]) -> list[ImageFeatures]:
        events.append(f"{len(batch)} images")
        return [replace(features, image_id=10 * features.image_id) for features in batch]

    found = detect_all(detector, [loaded(40, 53)] * 3, [3, 1, 2], batch_size=2, finish=finish)
    hook.remove()
    assert events == ["batch", "2 images", "batch", "1 images"]
    assert [features.image_id for features in found] == [30, 10, 20]


def test_tensors_of_odd_sizes_and_types_are_copied_in_one_piece() -> None:
    tensors = [
        torch.randn(3, 5)[:, 1:4],
        torch.randn(7, 1, 3).half(),
        torch.randint(-127, 127, (5, 3, 11), dtype=torch.int8)[1:, :2],
        torch.zeros(0, 4),
        torch.randn(1),
    ]
    copied = copy_together(tensors)
    assert len({tensor.untyped_storage().data_ptr() for tensor in copied}) == 1
    for ours, theirs in zip(copied, tensors, strict=True):
        assert ours.is_contiguous()
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_features_in_the_cpus_memory_are_not_copied() -> None:
    (features,) = detect(load_detector(f"{TINY}:detector"), [loaded(40, 53)], [1])
    assert features.cpu() is features


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_features_stay_on_the_detectors_device_until_they_are_copied() -> None:
    detector = load_detector(f"{TINY}:detector", device="cuda")
    image = loaded(40, 53)
    (there,) = detect(detector, [image], [1])
    assert there.memory[0].is_cuda
    (here,) = detect_all(detector, [image], [1], 1)
    for name, value in vars(there.cpu()).items():
        torch.testing.assert_close(getattr(here, name), value, rtol=0, atol=1e-5)


def test_without_c1_the_map_is_left_out_and_nothing_carries_a_gradient() -> None:
    detector = load_detector(f"{TINY}:detector").requires_grad_(True)
    (features,) = detect(detector, [loaded(40, 53)], [1], with_c1=False)
    assert features.c1 is None
    assert not features.queries.requires_grad


def test_autocast_changes_little_and_an_unknown_one_is_refused() -> None:
    detector = load_detector(f"{TINY}:detector")
    image = loaded(40, 53)
    (exact,), (rounded,) = (
        detect(detector, [image], [1], precision=p) for p in ("float32", "bfloat16")
    )
    assert rounded.queries.dtype == torch.float32
    assert not torch.equal(rounded.queries, exact.queries)
    torch.testing.assert_close(rounded.queries, exact.queries, rtol=0, atol=0.05)
    with pytest.raises(ConfigError, match="precision is 'int8'"):
        detect(detector, [image], [1], precision="int8")


def test_a_detector_without_c1_gives_none_whether_it_is_wanted_or_not() -> None:
    detector = load_detector(f"{TINY}:detector_without_c1")
    assert not detector.spec.has_c1
    image = LoadedImage(torch.randn(3, 56, 70), (80, 100))
    for with_c1 in (True, False):
        (found,) = detect(detector, [image], [1], with_c1=with_c1)
        assert found.c1 is None
        assert [level.shape[:2] for level in found.memory] == [(4, 5), (2, 3)]


def test_a_forward_that_raises_is_named_with_its_place() -> None:
    detector = load_detector(f"{TINY}:detector")
    detector.forward = lambda images, mask: images.reshape(7)
    image = LoadedImage(torch.zeros(3, 40, 53), (40, 53))
    with pytest.raises(
        DetectorError, match=r"failed on images of shape 1 x 3 x 48 x 64: Run.*7"
    ) as e:
        detect(detector, [image], [1])
    assert "(test_detection.py, line" in str(e.value)
