"""Which run folder a name, or no name, stands for."""

import os
from pathlib import Path

import pytest

from mfd.errors import ConfigError
from mfd.headtrain.runs.find import begun_run_dir, find_run, latest_run, new_run_dir


def begin(runs: Path, name: str, *, finished: bool, age: float) -> Path:
    folder = runs / name
    folder.mkdir(parents=True)
    config = folder / "config.json"
    config.write_text("{}")
    os.utime(config, (1e9 - age, 1e9 - age))
    if finished:
        (folder / "head.safetensors").touch()
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    begin(tmp_path, "old", finished=True, age=30)
    begin(tmp_path, "young", finished=True, age=20)
    begin(tmp_path, "broken-off", finished=False, age=10)
    (tmp_path / "no-run").mkdir()
    (tmp_path / "no-run/holiday.jpg").touch()
    return tmp_path


def test_without_a_name_the_youngest_fitting_run_is_meant(runs: Path) -> None:
    assert latest_run(runs, finished=True) == runs / "young"
    assert begun_run_dir(runs, None) == runs / "broken-off"
    assert find_run(runs, None) == runs / "young"


def test_a_run_is_found_by_name_and_by_path(runs: Path) -> None:
    assert find_run(runs, Path("old")) == runs / "old"
    assert find_run(Path("elsewhere"), runs / "old") == runs / "old"
    assert begun_run_dir(runs, "old") == runs / "old"


def test_a_new_run_gets_the_first_free_number(runs: Path) -> None:
    assert new_run_dir(runs, None, "paper") == runs / "paper-1"
    (runs / "paper-1").mkdir()
    assert new_run_dir(runs, None, "paper") == runs / "paper-2"
    assert new_run_dir(runs, "mine", "paper") == runs / "mine"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("old", "already holds a run; go on with it by --resume"),
        ("no-run", "holds something that is no run"),
        ("../old", "--run takes a name"),
        ("a/b", "--run takes a name"),
    ],
)
def test_a_new_run_takes_no_folder_that_is_in_use(runs: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        new_run_dir(runs, name, "paper")


def test_a_run_that_was_never_begun_is_not_gone_on_with(runs: Path) -> None:
    with pytest.raises(ConfigError, match=r"no run .*nowhere to go on with"):
        begun_run_dir(runs, "nowhere")
    with pytest.raises(ConfigError, match="no run nowhere"):
        find_run(runs, Path("nowhere"))


def test_without_a_finished_run_the_unfinished_one_is_offered(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run `mfd train-head`"):
        find_run(tmp_path, None)
    begin(tmp_path, "broken-off", finished=False, age=0)
    with pytest.raises(ConfigError, match=r"broken-off goes on by `mfd train-head --resume`"):
        find_run(tmp_path, None)


def test_where_no_run_is_finished_the_one_that_resuming_means_is_named(tmp_path: Path) -> None:
    for age, name in enumerate("bca"):
        begin(tmp_path, name, finished=False, age=-age)
    with pytest.raises(ConfigError, match=r"no finished run .*/a goes on by"):
        find_run(tmp_path, None)
