"""`mfd demo`: the commands and what happens when one fails. The whole of it runs in `make demo`."""

import shlex

import pytest

from mfd.demo import run
from mfd.errors import ConfigError, MfdError
from tests.demo.test_summary import SUMMARY


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="exists but is not a demo"):
        run.run_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_demo_that_was_stopped_keeps_its_data_and_resumes_its_training(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "NUM_TRAIN", 2)
    monkeypatch.setattr(run, "NUM_VAL", 1)
    folder = tmp_path / "demo"
    run._begin(folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert "--resume" not in run.commands(folder)["train-head"]
    (folder / "runs/demo").mkdir(parents=True)
    (folder / "runs/demo/config.json").touch()
    run._begin(folder)
    assert {path: path.stat().st_mtime_ns for path in before if path.suffix == ".jpg"} == {
        path: time for path, time in before.items() if path.suffix == ".jpg"
    }
    assert "--resume" in run.commands(folder)["train-head"]


def test_data_that_were_half_generated_are_generated_again(tmp_path, monkeypatch):
    def power_cut(folder, *_):
        folder.mkdir(parents=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "NUM_TRAIN", 2)
    monkeypatch.setattr(run, "NUM_VAL", 1)
    with monkeypatch.context() as patch:
        patch.setattr(run, "generate", power_cut)
        with pytest.raises(KeyboardInterrupt):
            run._begin(tmp_path)
    assert not (tmp_path / "data").exists()
    run._begin(tmp_path)
    assert len(list((tmp_path / "data/train2017").iterdir())) == 2


def test_a_finished_demo_is_shown_again_without_running_anything(tmp_path, monkeypatch, capsys):
    SUMMARY.write(tmp_path / "summary.json")
    monkeypatch.setattr(run, "_run", None)
    assert run.run_demo(tmp_path) == SUMMARY
    shown = capsys.readouterr().out
    assert "report.html" in shown
    assert "Nothing was left to do" in shown


def test_commands_are_what_a_user_types_and_their_images_exist(tmp_path):
    run.generate(tmp_path / "data", num_train=1, num_val=3, seed=0)
    lines = [shlex.split(line) for line in run.commands(tmp_path).values()]
    verbs = [line[1] for line in lines]
    assert verbs == ["extract", "extract", "train-head", "evaluate", "predict", "report"]
    assert all(line[0] == "mfd" for line in lines)
    assert len(lines[-2][2:]) == 3
    assert all((tmp_path / image).is_file() for image in lines[-2][2:])


def test_a_command_that_fails_stops_the_demo_and_is_named(tmp_path):
    with pytest.raises(MfdError, match=r"`mfd evaluate nothing-here` ended with exit 1"):
        run._run("mfd evaluate nothing-here", tmp_path)
