"""What `mfd doctor` finds: the faults that would otherwise cost a night of extraction."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mfd.config import Project
from mfd.demo import generate
from mfd.doctor.examine import examine

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    generate(folder, num_train=5, num_val=9, seed=4)
    return folder


@pytest.fixture
def faults(data: Path, tmp_path: Path) -> Callable[..., str]:
    """The lines that are not good for the demo's detector and val images, annotations edited."""

    def faults(edit: Edit, images: Path = data / "val2017") -> str:
        content = json.loads((data / "annotations/instances_val2017.json").read_text())
        edit(content)
        (tmp_path / "edited.json").write_text(json.dumps(content))
        project = Project(stores=tmp_path / "stores", detector="demo")
        found = examine(project, None, images, tmp_path / "edited.json")
        return "\n".join(finding.text for finding in found if not finding.good)

    return faults


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


def call_all_crowd(content: dict[str, Any]) -> None:
    for annotation in content["annotations"]:
        annotation["iscrowd"] = 1


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
        (add_category, "does not know (4711 'dragon')"),
        (call_all_crowd, "no object to learn from"),
        (renumber(1), "give the annotations the detector's ids"),
    ],
    ids=["missing", "size", "unknown", "crowd", "renumbered"],
)
def test_a_fault_of_the_data_is_named(faults: Callable[..., str], edit: Edit, message: str) -> None:
    assert message in faults(edit)


def test_a_missing_image_keeps_the_detector_from_no_trial(
    faults: Callable[..., str],
) -> None:
    assert "there is no image" not in faults(rename_first_image)


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


def test_every_fault_is_found_at_once(tmp_path: Path) -> None:
    found = examine(Project(data=tmp_path, detector="nobody", stores=tmp_path))
    assert sum(not finding.good for finding in found) == 3  # two splits, one detector
