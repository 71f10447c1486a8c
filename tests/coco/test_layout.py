"""Where the splits of a folder are."""

from pathlib import Path

import pytest

from mfd.coco import split_names_of, split_paths
from mfd.errors import DataError


def test_cocos_layout_is_the_one_of_a_folder_without_signs_of_another(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    assert split_names_of(tmp_path) == ["train", "val"]
    annotations, images = split_paths(tmp_path, "val")
    assert annotations == tmp_path / "annotations/instances_val2017.json"
    assert images == tmp_path / "val2017"


def test_roboflows_export_has_a_folder_per_split_and_val_may_be_valid(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "_annotations.coco.json").write_text("{}")
    assert split_names_of(tmp_path) == ["test", "train", "valid"]
    for split in ("val", "valid"):
        annotations, images = split_paths(tmp_path, split)
        assert (annotations.parent, images) == (tmp_path / "valid", tmp_path / "valid")
    assert split_paths(tmp_path, "test")[1] == tmp_path / "test"


def test_yolos_splits_are_those_of_its_description(tmp_path: Path) -> None:
    (tmp_path / "images/holdout").mkdir(parents=True)
    (tmp_path / "data.yaml").write_text(
        "train: images/train\nholdout: images/holdout\nnames: [a]\nroboflow: {license: MIT}\n"
    )
    assert split_names_of(tmp_path) == ["train", "holdout"]
    assert split_paths(tmp_path, "holdout") == (tmp_path / "data.yaml", tmp_path / "images/holdout")


def test_a_split_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no split 'test' in .*, expected 'train', 'val'; name"):
        split_paths(tmp_path, "test")


def test_a_folder_of_no_known_layout_is_told_all_of_them(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text('{"shapes": []}')  # as labelme writes it
    with pytest.raises(DataError, match=r"neither as COCO .* nor as YOLO .* or Roboflow .*; name"):
        split_paths(tmp_path, "train")
    with pytest.raises(DataError, match=r"there is no folder .*nowhere"):
        split_paths(tmp_path / "nowhere", "train")
