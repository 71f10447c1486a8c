"""What a detector finds on a few images, by counting again image by image."""

from dataclasses import replace

import pytest
import torch

from mfd.coco import CocoDataset, read_dataset, split_paths
from mfd.demo import generate
from mfd.detectors import load_detector
from mfd.doctor.detections import try_detector


@pytest.fixture(scope="module")
def val(tmp_path_factory: pytest.TempPathFactory) -> CocoDataset:
    folder = tmp_path_factory.mktemp("data")
    generate(folder, num_train=1, num_val=7, seed=11)
    return read_dataset(*split_paths(folder, "val"))


def test_the_demos_detector_finds_most_objects_and_names_them(val: CocoDataset) -> None:
    trial = try_detector(load_detector("demo"), val, num_images=7)
    objects = [a for found in val.annotations.values() for a in found if not a.iscrowd]
    assert (trial.images, trial.objects) == (len(val.annotations), len(objects))
    assert trial.found >= trial.named >= 0.7 * trial.objects


def test_a_detector_whose_ids_mean_other_categories_names_hardly_anything(
    val: CocoDataset,
) -> None:
    detector = load_detector("demo")
    right = try_detector(detector, val)
    first, *others = detector.spec.category_ids
    detector.spec = replace(detector.spec, category_ids=(*others, first))
    wrong = try_detector(detector, val)
    assert wrong.found == right.found
    assert wrong.named < 0.25 * wrong.found


def test_a_detector_of_random_weights_finds_hardly_anything(val: CocoDataset) -> None:
    detector = load_detector("demo")
    generator = torch.Generator().manual_seed(0)
    for weight in detector.parameters():
        weight.copy_(0.05 * torch.randn(weight.shape, generator=generator))
    trial = try_detector(detector, val)
    assert trial.found < 0.25 * trial.objects


def test_only_images_with_objects_are_looked_at(val: CocoDataset) -> None:
    first = val.images[0].image_id
    lonely = replace(val, annotations={first: val.annotations[first]})
    assert try_detector(load_detector("demo"), lonely).images == 1
