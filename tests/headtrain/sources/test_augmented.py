"""Live training on images that are changed at random."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pycocotools import mask as mask_utils

from mfd.coco import CocoDataset, decode_segmentation, mask_runs
from mfd.detectors import Detector
from mfd.headtrain.sources.live import LiveSource
from mfd.headtrain.targets.crop import box_crop
from tests.builders.live import CHOICE, HEAD, TRAIN

pytestmark = pytest.mark.usefixtures("one_thread")


def test_an_augmented_run_is_repeated_by_its_seed_and_differs_by_epoch(
    demo: Detector, dataset: CocoDataset
) -> None:
    def shown(seed: int, start: int, stop: int) -> dict[str, tuple[int, ...]]:
        config = replace(TRAIN, batch_size=1, seed=seed, augment="ms")
        batches = LiveSource(demo, CHOICE, dataset, HEAD, config).batches(start, stop)
        return {b.image_names[0]: tuple(b.features.input_hw[0].tolist()) for b in batches}

    first = shown(0, 0, 7)
    assert first == shown(0, 0, 7)
    assert shown(0, 4, 7).items() <= first.items()
    second = shown(0, 7, 14)
    assert first.keys() == second.keys()
    assert first != second
    assert first != shown(1, 0, 7)


def mirrored_crops(dataset: CocoDataset, name: str, box_cxcywh: torch.Tensor) -> np.ndarray:
    """Of all objects on an image: their masks, mirrored pixel by pixel, as a box sees them."""
    (entry,) = (e for e in dataset.images if name == f"{e.image_id} ({e.file_name})")
    height, width = entry.size_hw
    x, y, w, h = (box_cxcywh.double() * torch.tensor([width, height, width, height])).tolist()
    box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    crops = []
    for found in dataset.annotations[entry.image_id]:
        mask = np.asfortranarray(decode_segmentation(found.segmentation, entry.size_hw)[:, ::-1])
        runs = mask_runs(mask_utils.encode(mask), entry.size_hw)
        crops.append(box_crop(runs, entry.size_hw, box, 4 * HEAD.roi_size) * 255)
    return np.array(crops)


def test_a_run_sees_a_share_of_its_images_mirrored_with_their_masks(
    demo: Detector, dataset: CocoDataset
) -> None:
    config = replace(TRAIN, batch_size=1, augment="flip", epochs=4)
    plain = {
        batch.image_names[0]: batch.features.memory[0]
        for batch in LiveSource(
            demo, CHOICE, dataset, HEAD, replace(config, augment="none")
        ).batches(0, 7)
    }
    mirrored = 0
    for batch in LiveSource(demo, CHOICE, dataset, HEAD, config).batches(0, 28):
        name = batch.image_names[0]
        if torch.equal(batch.features.memory[0], plain[name]):
            continue
        mirrored += 1
        for crop, box in zip(batch.crops, batch.features.boxes, strict=True):
            expected = mirrored_crops(dataset, name, box)
            assert np.abs(expected - crop.numpy()).max((1, 2)).min() < 1
    assert 6 <= mirrored <= 22


def test_objects_that_a_crop_leaves_out_are_not_trained_on(
    demo: Detector, dataset: CocoDataset
) -> None:
    config = replace(TRAIN, batch_size=1, epochs=6, augment="lsj")
    source = LiveSource(demo, CHOICE, dataset, HEAD, config)
    objects = {
        f"{entry.image_id} ({entry.file_name})": len(dataset.annotations[entry.image_id])
        for entry in dataset.images
    }
    counts = [(len(b.crops), objects[b.image_names[0]]) for b in source.batches(0, 42)]
    assert all(found <= there for found, there in counts)
    assert sum(found for found, _ in counts) < sum(there for _, there in counts)
