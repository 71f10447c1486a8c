"""`mfd.toml`: what is read, and what is refused by name."""

from pathlib import Path

import pytest

from mfd.config import Project, load_project
from mfd.errors import ConfigError


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert load_project(tmp_path) == Project()


def test_relative_paths_count_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "mfd.toml").write_text(
        'data = "coco"\nweights = "r50.pth"\ndetector = "mine.py:build"\nencoder_layer = 4\n'
    )
    project = load_project(tmp_path)
    assert project.data == tmp_path / "coco"
    assert project.weights == str(tmp_path / "r50.pth")
    assert project.detector == f"{tmp_path}/mine.py:build"
    assert project.encoder_layer == 4
    assert project.runs == Path("runs")


def test_absolute_and_hub_paths_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "mfd.toml").write_text(
        'data = "/coco"\nweights = "hf://someone/model/w.pth"\ndetector = "hf:someone/model"\n'
    )
    project = load_project(tmp_path)
    assert project.data == Path("/coco")
    assert project.weights == "hf://someone/model/w.pth"
    assert project.detector == "hf:someone/model"


def test_a_tilde_is_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/her")
    (tmp_path / "mfd.toml").write_text(
        'data = "~/coco"\nweights = "~/w.pth"\ndetector = "~/mine.py:build"\n'
    )
    project = load_project(tmp_path)
    assert project.data == Path("/home/her/coco")
    assert project.weights == "/home/her/w.pth"
    assert project.detector == "/home/her/mine.py:build"


def test_flags_win_and_absent_flags_do_not(tmp_path: Path) -> None:
    project = Project(detector="demo").override(detector=None, stores=tmp_path)
    assert project.detector == "demo"
    assert project.stores == tmp_path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('detectr = "demo"', "unknown key 'detectr'; did you mean 'detector'"),
        ("data = 3", "data must be a string, found an integer"),
        ("encoder_layer = true", "encoder_layer must be an integer, found a boolean"),
        ("stores = 2024-05-06", "stores must be a string, found a date"),
        ("[mfd]\ndata = 'coco'", r"has a section \[mfd\], expected none"),
        ("data = ", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mfd.toml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_project(tmp_path)
