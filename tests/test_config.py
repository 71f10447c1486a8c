"""`mfd.toml`: what is read, and what is refused by name."""

import os
from pathlib import Path
from typing import Any

import pytest

from mfd.commands import compare, evaluate, train_head
from mfd.commands.options import read_options
from mfd.config import DetectorChoice, Project, load_project
from mfd.errors import ConfigError
from mfd.settings import expanded, from_json, setting, settings


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert load_project(tmp_path).project == Project()


def test_relative_paths_count_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "mfd.toml").write_text(
        'data = "coco"\nweights = "r50.pth"\ndetector = "mine.py:build"\nencoder_layer = 4\n'
    )
    project = load_project(tmp_path).project
    assert project.data == tmp_path / "coco"
    assert project.weights == str(tmp_path / "r50.pth")
    assert project.detector == f"{tmp_path}/mine.py:build"
    assert project.encoder_layer == 4
    assert project.runs == tmp_path / "runs"


def test_lists_of_paths_are_resolved_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    @settings
    class Drawn:
        images: tuple[Path, ...] = setting("Which.", default=())
        names: tuple[str, ...] = setting("Theirs.", default=())

    monkeypatch.setenv("HOME", "/home/her")
    values = {"images": ["a.jpg", "/b.jpg", "~/c.jpg"], "names": ["a", "~"]}
    found = from_json(Drawn, expanded(Drawn, values, Path("/project")))
    assert found.images == (Path("/project/a.jpg"), Path("/b.jpg"), Path("/home/her/c.jpg"))
    assert found.names == ("a", "~")
    with pytest.raises(ConfigError, match="images must be a text, found 3"):
        from_json(Drawn, expanded(Drawn, {"images": [3]}, Path("/project")))


def test_texts_that_name_a_run_store_or_model_count_from_the_file_where_they_are_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/her")
    for folder in ("sam", "stores/a", "old/mfd-1", "val"):  # val: as YOLO's layout has it
        (tmp_path / folder).mkdir(parents=True)

    def read(command: Any, **values: Any) -> Any:
        return read_options(command.Options, values, {}, tmp_path / "mfd.toml")

    assert read(train_head, val="stores/a").val == str(tmp_path / "stores/a")
    assert read(train_head, val="~/a").val == "/home/her/a"
    assert read(train_head, val="/a").val == "/a"
    assert read(train_head, val="val").val == "val"
    assert read(evaluate, run="../old/runs/mfd-1").run == str(tmp_path / "../old/runs/mfd-1")
    assert read(evaluate, run="mfd-1").run == "mfd-1"
    assert read(evaluate, run="mfd-1/best").run == "mfd-1/best"  # under runs
    assert read(compare, run=["mfd-1", "old/mfd-1"]).run == ("mfd-1", f"{tmp_path}/old/mfd-1")
    models = ["sam:sam", "sam:facebook/sam-vit-base"]
    assert read(evaluate, compare=models).compare == (f"sam:{tmp_path}/sam", models[1])
    moved = read(evaluate, detector="new/mine.py:build", weights="new/w.pth")
    assert moved.detector == f"{tmp_path}/new/mine.py:build"
    assert moved.weights == f"{tmp_path}/new/w.pth"


def test_absolute_and_hub_paths_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "mfd.toml").write_text(
        'data = "/coco"\nweights = "hf://someone/model/w.pth"\ndetector = "hf:someone/model"\n'
    )
    project = load_project(tmp_path).project
    assert project.data == Path("/coco")
    assert project.weights == "hf://someone/model/w.pth"
    assert project.detector == "hf:someone/model"


def test_a_tilde_is_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/her")
    (tmp_path / "mfd.toml").write_text(
        'data = "~/coco"\nweights = "~/w.pth"\ndetector = "~/mine.py:build"\n'
    )
    project = load_project(tmp_path).project
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
        ('detectr = "demo"', "no field 'detectr'; did you mean 'detector'"),
        ("data = 3", "data must be a text, found 3"),
        ("encoder_layer = true", "encoder_layer must be a whole number, found True"),
        ("[mfd]\ndata = 'coco'", r"has a section \[mfd\]"),
        ("data = ", "not valid TOML"),
        ("[data]\ntrain = 'a'", r"\[data\] has train = 'a', expected train.images = a folder"),
        ("[data]\ntrain.images = 'a'", r"\[data\] has train = {'images': 'a'}, expected"),
        ("[categories]\ncars = 1.5", r"\[categories\] has 'cars' = 1.5, expected the detector's"),
        ("categories = 3", "categories must be a table, found 3"),
        ("splits = 'all'", "splits must be a table, found 'all'"),
        ("[categories]\ncars = true", r"\[categories\] has 'cars' = True"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mfd.toml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_project(tmp_path)


def test_the_file_is_found_upwards_and_paths_count_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mfd.toml").write_bytes(b'\xef\xbb\xbfdetector = "demo"\n')  # with a BOM
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    file = load_project()
    assert file.project.detector == "demo"
    assert file.project.stores == Path("../../stores")
    assert file.path == Path("../../mfd.toml")


def test_sections_of_commands_are_kept_and_others_refused(tmp_path: Path) -> None:
    (tmp_path / "mfd.toml").write_text("[extract]\nbatch_size = 8\n")
    assert load_project(tmp_path, ("extract",)).sections["extract"] == {"batch_size": 8}
    with pytest.raises(ConfigError, match=r"section \[extract\]; did you mean 'extracts'"):
        load_project(tmp_path, ("extracts",))


def test_splits_are_pairs_of_folder_and_file_and_a_given_folder_replaces_them(
    tmp_path: Path,
) -> None:
    (tmp_path / "mfd.toml").write_text(
        '[data]\ntrain.images = "photos"\ntrain.annotations = "train.json"\n'
        'night.images = "/night"\nnight.annotations = "/night/all.json"\n'
    )
    project = load_project(tmp_path).project
    assert project.splits == {
        "train": (tmp_path / "photos", tmp_path / "train.json"),
        "night": (Path("/night"), Path("/night/all.json")),
    }
    assert project.override(detector="demo").splits == project.splits
    assert project.override(data=Path("coco")).splits == {}


def test_categories_are_matched_by_hand(tmp_path: Path) -> None:
    (tmp_path / "mfd.toml").write_text('[categories]\n"cars" = "car"\nnut = 4\nbolt = false\n')
    project = load_project(tmp_path).project
    assert project.categories == {"cars": "car", "nut": 4, "bolt": False}
    assert project.override(detector="demo").categories == project.categories


def test_a_home_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigError, match="~nosuchuser/x names a home folder"):
        Project().override(data=Path("~nosuchuser/x"))


@pytest.mark.parametrize("kind", ["folder", "pipe", "broken link"])
def test_settings_that_are_no_file_are_named_and_not_passed_over(kind: str, tmp_path: Path) -> None:
    path, inner = tmp_path / "mfd.toml", tmp_path / "inner"
    inner.mkdir()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("nowhere")
    for start in (tmp_path, inner):
        with pytest.raises(ConfigError, match=r"mfd.toml is not a regular file"):
            load_project(start)


def test_file_of_a_detector_that_was_moved_is_where_the_project_says(tmp_path: Path) -> None:
    here = tmp_path / "detector.py"
    here.touch()
    noted = DetectorChoice(f"{tmp_path}/old.py:detector", "w.pth")
    project = DetectorChoice(f"{here}:detector", "new.pth")
    assert noted.where_it_is(project) == project
    assert project.where_it_is(noted) == project  # is still there
    of_layer = DetectorChoice(noted.name, "w.pth", 2, ("cat",))
    without = DetectorChoice(project.name)
    assert of_layer.where_it_is(without) == DetectorChoice(project.name, "w.pth", 2, ("cat",))
    named = DetectorChoice("hdetr-r50", "r50.pth")
    assert named.where_it_is(project) == named
    assert noted.where_it_is(named) == noted
