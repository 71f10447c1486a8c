from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mfd.coco import decode_segmentation
from mfd.headtrain.sources.stored import StoredSource
from mfd.headtrain.targets.build import build_targets
from mfd.nn import cxcywh_to_xyxy
from tests.builders.masks import cell_means
from tests.builders.runs import HEAD, TRAIN, make_dataset, make_store


def test_crops_are_of_the_boxes_that_the_head_is_given_with_their_margin(tmp_path: Path) -> None:
    """Every box of jittered, further and ground-truth ones, against the decoded mask."""
    store = make_store(tmp_path)
    dataset = make_dataset(tmp_path, store)
    targets = build_targets(store, dataset, tmp_path)
    config = replace(TRAIN, extra_queries=2, ground_truth_boxes=True, box_jitter=0.3)
    head = replace(HEAD, frame_margin=0.2)
    batches = [StoredSource(store, targets, h, config).batches(1, 2) for h in (head, HEAD)]
    (wide,), (plain,) = batches
    assert torch.equal(wide.features.boxes, plain.features.boxes)
    assert len(wide.crops) > 2 * 3 * 2 - 1
    for box in range(len(wide.crops)):
        name = wide.image_names[wide.features.image_index[box]]
        image = store.images[store.position(int(name.split()[0]))]
        masks = {
            a.annotation_id: decode_segmentation(a.segmentation, image.original_hw)
            for a in dataset.annotations[image.image_id]
        }
        x, y, w, h = wide.features.boxes[box].double().tolist()
        frame = cxcywh_to_xyxy(torch.tensor([x, y, 1.2 * w, 1.2 * h], dtype=torch.float64))
        left, top, right, bottom = (frame.numpy() * (image.original_hw[::-1] * 2)).tolist()
        errors = [
            abs(wide.crops[box].numpy() - 255 * cell_means(mask, (left, top, right, bottom), 32))
            for mask in masks.values()
        ]
        area = (right - left) * (bottom - top)
        nearest = int(np.argmin([error.max() for error in errors]))
        assert errors[nearest].max() <= 0.5 + 1e-3  # boxes are float32 on the way to the head
        expected = list(masks.values())[nearest].sum() / area
        assert wide.area_ratio[box].item() == pytest.approx(expected, rel=1e-4)


def test_steps_of_an_image_have_boxes_of_their_own_whatever_the_threads(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    targets = build_targets(store, make_dataset(tmp_path, store), tmp_path)
    config = replace(TRAIN, box_jitter=0.1, batch_size=20)
    alone, many = (
        [b.features.boxes for b in StoredSource(store, targets, HEAD, c).batches(0, 3)]
        for c in (replace(config, readers=1), replace(config, readers=4))
    )
    for ours, theirs in zip(alone, many, strict=True):
        assert torch.equal(ours, theirs)
    assert not set(alone[0].flatten().tolist()) & set(alone[1].flatten().tolist())
