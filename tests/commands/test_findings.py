"""Contradictions in a data set as the commands meet them: named, and refused where certain."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mfd.cli import main
from mfd.demo import generate

SMALL = [f"--set={s}" for s in ("roi_size=8", "box_dim=8", "num_heads=2", "epochs=1")]

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    generate(folder, num_train=1, num_val=6, seed=4)
    return folder


@pytest.fixture
def project(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(data, tmp_path / "coco")
    (tmp_path / "mfd.toml").write_text('data = "coco"\ndetector = "demo"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def edit(project: Path, change: Edit) -> None:
    path = project / "coco/annotations/instances_val2017.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def add_copy(project: Path) -> Edit:
    def change(content: dict[str, Any]) -> None:
        first = content["images"][0]
        images = project / "coco/val2017"
        shutil.copy(images / first["file_name"], images / "copy.jpg")
        content["images"].append({**first, "id": 99_999, "file_name": "copy.jpg"})

    return change


def write_polygons_in_unit(content: dict[str, Any]) -> None:
    for annotation in content["annotations"]:
        annotation["segmentation"] = [[0.1, 0.1, 0.4, 0.1, 0.3, 0.5]]


def break_two(content: dict[str, Any]) -> None:
    for annotation in content["annotations"][:2]:
        annotation["segmentation"] = [[1, 2, 3, 4, 5]]
    content["annotations"][2]["bbox"] = None


def test_a_file_under_two_ids_is_noted_from_its_digest(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(project, add_copy(project))
    assert main(["extract", "--split", "val"]) == 0
    assert "note: image files under two ids: 1 of 7" in capsys.readouterr().err
    assert main(["evaluate", "--baselines"]) == 0
    assert "note: image files under two ids: 1 of 7" in capsys.readouterr().err
    assert main(["train-head", "--split", "val", *SMALL]) == 0
    assert "note: image files under two ids: 1 of 7" in capsys.readouterr().err


def test_masks_that_are_certainly_wrong_stop_extract_and_are_noted_by_evaluate(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["extract", "--split", "val"]) == 0
    edit(project, write_polygons_in_unit)
    capsys.readouterr()
    assert main(["extract", "--split", "val"]) == 1
    assert "polygons in 0..1" in capsys.readouterr().err
    assert main(["evaluate", "--baselines", "--json"]) == 0
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert note.startswith("polygons in 0..1")


def test_annotations_that_cannot_be_used_are_left_out_where_that_is_asked_for(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(project, break_two)
    assert main(["extract", "--split", "val"]) == 1
    error = capsys.readouterr().err
    assert "3 of" in error
    assert "malformed bbox: 1" in error
    assert "odd number of coordinates: 2" in error
    assert main(["extract", "--split", "val", "--skip-invalid"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "--baselines", "--json"]) == 1
    assert "--skip-invalid" in capsys.readouterr().err
    assert main(["evaluate", "--baselines", "--json", "--skip-invalid"]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert "annotations that cannot be used and do not count: 3" in notes


def test_commands_that_look_at_images_alone_do_not_mind_annotations(project: Path) -> None:
    edit(project, break_two)
    assert main(["estimate", "--split", "val", "--no-measure"]) == 0


def test_escape_sequences_from_settings_reach_no_terminal(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "mfd.toml").write_text('data = "\\u001b[2J"\ndetector = "demo"\n')
    assert main(["doctor", "--split", "val"]) == 1
    shown = capsys.readouterr()
    assert "no folder \\x1b[2J;" in shown.out
    assert "\x1b" not in shown.out + shown.err
