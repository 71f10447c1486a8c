"""What a detector finds on a few images, by counting again image by image."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from mfd.coco import CocoDataset, read_dataset, split_paths
from mfd.demo import generate
from mfd.detectors import load_detector
from mfd.doctor.detections import DetectionCheck, check_detections


@pytest.fixture(scope="module")
def val(tmp_path_factory: pytest.TempPathFactory) -> CocoDataset:
    folder = tmp_path_factory.mktemp("data")
    generate(folder, num_train=1, num_val=7, seed=11)
    return read_dataset(*split_paths(folder, "val"))


def test_the_demos_detector_finds_most_objects_and_names_them(val: CocoDataset) -> None:
    check = check_detections(load_detector("demo"), val, num_images=7)
    objects = [a for found in val.annotations.values() for a in found if not a.iscrowd]
    assert (check.images, check.objects) == (len(val.annotations), len(objects))
    assert check.recalled >= check.classified >= 0.7 * check.objects


def test_a_detector_whose_ids_mean_other_categories_names_hardly_anything(
    val: CocoDataset,
) -> None:
    detector = load_detector("demo")
    right = check_detections(detector, val)
    first, *others = detector.spec.category_ids
    detector.spec = replace(detector.spec, category_ids=(*others, first))
    wrong = check_detections(detector, val)
    assert wrong.recalled == right.recalled
    assert wrong.classified < 0.25 * wrong.recalled


def test_a_detector_of_random_weights_finds_hardly_anything(val: CocoDataset) -> None:
    detector = load_detector("demo")
    generator = torch.Generator().manual_seed(0)
    for weight in detector.parameters():
        weight.copy_(0.05 * torch.randn(weight.shape, generator=generator))
    check = check_detections(detector, val)
    assert check.recalled < 0.25 * check.objects


def blind(seed: int) -> Any:
    """The demo's detector with boxes and scores that are the same in every image, of all sizes."""
    detector: Any = load_detector("demo")
    generator, forward = torch.Generator().manual_seed(seed), detector.forward

    def fixed(images: torch.Tensor, padding_mask: torch.Tensor) -> Any:
        output = forward(images, padding_mask)
        generator.manual_seed(seed)
        boxes = torch.rand(output.boxes.shape[1:], generator=generator)
        boxes[:, :2] = 0.15 + 0.7 * boxes[:, :2]
        boxes[:, 2:] = 0.15 + 0.2 * boxes[:, 2:]
        logits = torch.randn(output.logits.shape[1:], generator=generator)
        return replace(
            output, boxes=boxes.expand_as(output.boxes), logits=logits.expand_as(output.logits)
        )

    detector.forward = fixed
    return detector


def test_boxes_that_ignore_their_images_are_chance_and_those_of_a_trained_detector_are_not(
    val: CocoDataset,
) -> None:
    check = check_detections(blind(0), val)
    assert check.recalled > 0
    assert check.by_chance == pytest.approx(check.recalled)
    assert check.is_chance
    assert not check_detections(load_detector("demo"), val).is_chance


def test_finding_no_more_than_by_chance_is_chance_unless_the_best_boxes_find_it() -> None:
    assert not DetectionCheck(8, 12, 12, 12, leading=11, by_chance=11.5).is_chance
    assert DetectionCheck(8, 12, 12, 12, leading=2, by_chance=11.5).is_chance
    assert not DetectionCheck(8, 12, 8, 8, leading=2, by_chance=3.5).is_chance
    assert not DetectionCheck(8, 3, 1, 1, leading=0, by_chance=0.5).is_chance  # too few to tell


def test_only_images_with_objects_are_looked_at(val: CocoDataset) -> None:
    first = val.images[0].image_id
    lonely = replace(val, annotations=val.annotations.of_images([first]))
    assert check_detections(load_detector("demo"), lonely).images == 1
