from pathlib import Path

import pytest
import zarr
from pycocotools import mask as coco_mask

from mfd.errors import StoreError
from mfd.headtrain.targets.build import build_targets
from mfd.headtrain.targets.read import Targets
from tests.builders.runs import make_dataset, make_store


def test_anybody_can_read_them_with_zarr(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    targets = build_targets(store, make_dataset(tmp_path, store), tmp_path)
    group = zarr.open_group(targets.path, mode="r")
    before = group["object_count"][:2].sum()
    start = group["run_count"][:before].sum()
    runs = group["runs"][start : start + group["run_count"][before]]
    objects = targets[2].objects
    rle = coco_mask.frPyObjects(
        {"size": objects.size_hw, "counts": runs.tolist()}, *objects.size_hw
    )
    assert coco_mask.area(rle) == objects.areas[0] > 0


def test_images_with_a_pair_of_enough_iou_are_trainable(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    targets = build_targets(store, make_dataset(tmp_path, store), tmp_path)
    best = [max(targets[position].pair_iou, default=-1) for position in range(len(targets))]
    middle = sorted(best)[5]
    for least, images in ((0.0, 10), (middle, 6), (1.0, 0)):
        assert len(targets.trainable(least)) == images
        assert targets.trainable(least) == [p for p, iou in enumerate(best) if iou >= least]


def test_a_folder_without_targets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no targets"):
        Targets.open(tmp_path)
    zarr.open_group(tmp_path / "old", mode="w").attrs["schema"] = 0
    with pytest.raises(StoreError, match="schema 0"):
        Targets.open(tmp_path / "old")
