"""What `mfd doctor` finds: the faults that would otherwise cost a night of extraction."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mfd.coco import read_dataset, split_paths
from mfd.config import Project
from mfd.detectors import load_detector
from mfd.doctor.agreement import examine_repeats
from mfd.doctor.examine import examine
from mfd.errors import DetectorError
from tests.doctor.conftest import Edit


def renumber(shift: int) -> Edit:
    def edit(content: dict[str, Any]) -> None:
        ids = sorted(category["id"] for category in content["categories"])
        new = {old: ids[(place + shift) % len(ids)] for place, old in enumerate(ids)}
        for category in content["categories"]:
            category["id"] = new[category["id"]]
        for annotation in content["annotations"]:
            annotation["category_id"] = new[annotation["category_id"]]

    return edit


def rename_first_image(content: dict[str, Any]) -> None:
    content["images"][0]["file_name"] = "gone.jpg"


def enlarge_last_image(content: dict[str, Any]) -> None:
    content["images"][-1]["width"] += 1


def add_category(content: dict[str, Any]) -> None:
    content["categories"].append({"id": 4711, "name": "dragon"})
    content["annotations"][0]["category_id"] = 4711


def write_corners(content: dict[str, Any]) -> None:
    for annotation in content["annotations"]:
        x, y, width, height = annotation["bbox"]
        annotation["bbox"] = [x, y, x + width, y + height]


def normalise_boxes(content: dict[str, Any]) -> None:
    for annotation in content["annotations"]:
        annotation["bbox"] = [value / 400 for value in annotation["bbox"]]


def make_areas_constant(content: dict[str, Any]) -> None:
    for annotation in content["annotations"]:
        annotation["area"] = 1.0


def break_polygons(content: dict[str, Any]) -> None:
    for annotation in content["annotations"][:3]:
        annotation["segmentation"] = [[1, 2, 3, 4, 5]]
    content["annotations"][3]["bbox"] = None


def remove_masks(content: dict[str, Any]) -> None:
    for annotation in content["annotations"]:
        annotation["segmentation"] = []


def list_images_twice(content: dict[str, Any]) -> None:
    content["images"] += [{**image, "id": image["id"] + 10_000} for image in content["images"]]


def call_all_crowd(content: dict[str, Any]) -> None:
    for annotation in content["annotations"]:
        annotation["iscrowd"] = 1


def call_all_unknown(content: dict[str, Any]) -> None:
    for category in content["categories"]:
        category["name"] = f"balloon {category['id']}"


def test_both_splits_of_a_sound_project_are_sound(data: Path, tmp_path: Path) -> None:
    project = Project(data=data, stores=tmp_path / "none-yet", detector="demo")
    found = examine(project)
    assert [finding.text for finding in found if not finding.good] == []
    text = "\n".join(finding.text for finding in found)
    assert "train: on 5 images the detector finds" in text
    assert "val: on 8 images the detector finds" in text
    assert "val: the store will need" in text


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (rename_first_image, "val2017: 1, gone.jpg"),
        (enlarge_last_image, "its annotation file says"),
        (add_category, "does not know ('dragon'); it knows ring, star, crescent, gear, cross and"),
        (call_all_crowd, "no object to learn from"),
        (write_corners, "boxes written as corners: "),
        (normalise_boxes, "boxes in 0..1: "),
        (make_areas_constant, "areas that are all 1: "),
        (break_polygons, "polygon with an odd number of coordinates: 3 of "),
        (break_polygons, "malformed bbox: 1 of "),
        (remove_masks, "no object has a mask"),
        (list_images_twice, "image files under two ids: 9 of 18"),
    ],
    ids=[
        "missing",
        "size",
        "unknown",
        "crowd",
        "corners",
        "normalised",
        "areas",
        "polygons",
        "other-kind",
        "no-masks",
        "twice",
    ],
)
def test_a_fault_of_the_data_is_named(faults: Callable[..., str], edit: Edit, message: str) -> None:
    assert message in faults(edit)


NAMELESS = """
from dataclasses import replace
from mfd.detectors import load_detector

def detector():
    made = load_detector("demo")
    made.spec = replace(made.spec, category_names=())
    return made
"""


def test_other_ids_are_a_fault_only_where_the_detector_has_no_names(
    faults: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "nameless.py").write_text(NAMELESS)
    assert faults(renumber(1)) == ""
    nameless = faults(renumber(1), detector=f"{tmp_path}/nameless.py:detector")
    assert "the ids do not mean the same" in nameless
    assert "write which is which under [categories] in mfd.toml" in nameless


def test_a_missing_image_keeps_the_detector_from_no_trial(
    faults: Callable[..., str],
) -> None:
    assert "there is no image" not in faults(rename_first_image)


def test_a_detector_is_not_blamed_for_boxes_that_are_wrong(faults: Callable[..., str]) -> None:
    found = faults(normalise_boxes)
    assert "boxes in 0..1" in found
    assert "weights" not in found


def test_a_detector_whose_boxes_have_nothing_to_do_with_the_images_is_named(
    faults: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(
        "from tests.doctor.test_detections import blind\ndef detector():\n    return blind(0)\n"
    )
    own = f"{tmp_path}/own.py:detector"
    for edit in (lambda content: None, call_all_unknown):
        assert "look whether its weights are loaded" in faults(edit, detector=own)
        assert "weights are loaded" not in faults(edit)


def test_files_of_equal_content_are_found_whatever_their_names(
    faults: Callable[..., str], images: Path
) -> None:
    def add_copies(content: dict[str, Any]) -> None:
        for image in content["images"][:2]:
            copy = f"copy-{image['file_name']}"
            shutil.copy(images / image["file_name"], images / copy)
            content["images"].append({**image, "id": image["id"] + 10_000, "file_name": copy})
        (images / "other.jpg").write_bytes(  # as large as another, and the same in its first bytes
            (images / content["images"][3]["file_name"]).read_bytes()[:-9] + bytes(9)
        )
        other = {**content["images"][3], "id": 4711, "file_name": "other.jpg"}
        content["images"].append(other)

    assert "image files under two ids: 2 of 12" in faults(add_copies, images)


def test_a_pipe_among_the_images_is_named_and_not_opened(
    faults: Callable[..., str], images: Path
) -> None:
    first = min(images.iterdir())
    first.unlink()
    os.mkfifo(first)
    assert f"{first} is a pipe, expected an image file" in faults(lambda content: None, images)


def test_categories_in_another_order_are_no_fault_if_ids_mean_the_same(
    faults: Callable[..., str],
) -> None:
    assert faults(lambda content: content["categories"].reverse()) == ""


def test_an_image_that_is_none_is_named(faults: Callable[..., str], data: Path) -> None:
    victim = min((data / "val2017").iterdir())
    whole = victim.read_bytes()
    victim.write_bytes(whole[: len(whole) // 2])
    try:
        assert f"{victim.name} is not a whole image" in faults(lambda content: None)
    finally:
        victim.write_bytes(whole)


def test_a_detector_that_is_random_is_named(data: Path) -> None:
    detector: Any = load_detector("demo")
    forward = detector.forward
    detector.forward = lambda images, mask: forward(torch.dropout(images, 0.2, True), mask)
    with pytest.raises(DetectorError, match="when it saw the same image again"):
        examine_repeats(read_dataset(*split_paths(data, "val")), detector)


def test_every_fault_is_found_at_once(tmp_path: Path) -> None:
    found = examine(Project(data=tmp_path, detector="nobody", stores=tmp_path))
    assert sum(not finding.good for finding in found) == 3  # two splits, one detector


@pytest.mark.parametrize("name", ["stores", "runs"])
def test_a_file_in_the_place_of_a_folder_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch(mode=0o755)
    folders = {each: tmp_path / each for each in ("stores", "runs")}
    found = examine(Project(data=tmp_path, detector="nobody", **folders))
    assert [f"{tmp_path / name} is not a folder" in f.text for f in found if not f.good][-1]
