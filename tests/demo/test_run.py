"""`mfd demo`: the commands and what happens when one fails. The whole of it runs in `make demo`."""

import shlex

import pytest

from mfd.demo import run
from mfd.errors import ConfigError, MfdError


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        run.run_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_commands_are_what_a_user_types_and_their_images_exist(tmp_path):
    run.generate(tmp_path / "data", num_train=1, num_val=3, seed=0)
    lines = [shlex.split(line) for line in run.commands(tmp_path).values()]
    verbs = [line[1] for line in lines]
    assert verbs == ["extract", "extract", "train-head", "evaluate", "predict"]
    assert all(line[0] == "mfd" for line in lines)
    assert len(lines[-1][2:]) == 3
    assert all((tmp_path / image).is_file() for image in lines[-1][2:])


def test_a_command_that_fails_stops_the_demo_and_is_named(tmp_path):
    with pytest.raises(MfdError, match=r"`mfd evaluate nothing-here` ended with exit 1"):
        run._run("mfd evaluate nothing-here", tmp_path)
