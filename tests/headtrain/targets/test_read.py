from pathlib import Path

import pytest
import torch
import zarr

from mfd.errors import StoreError
from mfd.headtrain.targets.build import build_targets
from mfd.headtrain.targets.read import Targets
from tests.builders.runs import make_dataset, make_store


def test_anybody_can_read_them_with_zarr(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    targets = build_targets(store, make_dataset(tmp_path, store), 16, tmp_path)
    group = zarr.open_group(targets.path, mode="r")
    start, count = group["pointer"][2]
    assert torch.equal(torch.from_numpy(group["crop"][start : start + count]), targets[2].crops)


def test_a_folder_without_targets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no targets"):
        Targets.open(tmp_path)
    zarr.open_group(tmp_path / "old", mode="w").attrs["schema"] = 0
    with pytest.raises(StoreError, match="schema 0"):
        Targets.open(tmp_path / "old")
