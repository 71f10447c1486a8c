"""Which folder a run is, and what is read from and written to it."""

import json
import os
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mfd.config import DetectorChoice
from mfd.errors import ConfigError, TrainingError
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.runs.config import RunConfig
from mfd.headtrain.runs.evaluations import evaluation_dir, evaluations_of
from mfd.headtrain.runs.run import Run
from tests.builders.runs import TRAIN
from tests.builders.scenes import CONFIG, SPEC

HEAD = replace(CONFIG, box_dim=4)
DESCRIPTION = RunConfig(HEAD, SPEC, DetectorChoice("nearly"), {1: "disc", 90: "crêpe"}, TRAIN)


def begin(runs: Path, name: str, *, finished: bool, age: float = 0) -> Run:
    run = Run(runs / name)
    run.begin(DESCRIPTION, resume=False)
    os.utime(run.path / "config.json", (1e9 - age, 1e9 - age))
    if finished:
        run.save_head(MaskHead(HEAD, SPEC))
    return run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    begin(tmp_path, "old", finished=True, age=30)
    begin(tmp_path, "young", finished=True, age=20)
    begin(tmp_path, "broken-off", finished=False, age=10)
    (tmp_path / "no-run").mkdir()
    (tmp_path / "no-run/holiday.jpg").touch()
    (tmp_path / "notes.txt").touch()
    return tmp_path


def test_run_without_a_name_is_the_latest_fitting_one(runs: Path) -> None:
    assert Run.find(runs, None).name == "young"
    assert Run.resume(runs, None).name == "broken-off"


def test_run_is_found_by_name_and_by_path(runs: Path) -> None:
    assert Run.find(runs, "old").path == runs / "old"
    assert Run.find(Path("elsewhere"), runs / "old").path == runs / "old"
    assert Run.resume(runs, "broken-off").path == runs / "broken-off"
    assert Run.open(runs / "old").finished
    assert not Run.open(str(runs / "broken-off")).finished


def test_run_folders_that_are_damaged_do_not_hide_the_others(runs: Path) -> None:
    for name, text in (("a", "{"), ("b", "[]"), ("c", '{"schema": 9}')):
        (runs / name).mkdir()
        (runs / name / "config.json").write_text(text)
    (runs / "d/config.json").mkdir(parents=True)
    (runs / "e").symlink_to(runs / "nowhere")
    assert Run.find(runs, None).name == "young"
    assert Run.resume(runs, None).name == "broken-off"
    with pytest.raises(ConfigError, match=r"a/config\.json is not a JSON file"):
        Run.find(runs, "a")


def test_run_that_is_the_only_one_and_damaged_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"no finished run under .*a/config\.json is not a JSON"):
        Run.find(tmp_path, None)


def test_new_run_gets_the_first_free_number(runs: Path) -> None:
    assert Run.new(runs, None, "paper").path == runs / "paper-1"
    begin(runs, "paper-1", finished=False)
    assert Run.new(runs, None, "paper").path == runs / "paper-2"
    assert Run.new(runs, "mine", "paper").path == runs / "mine"
    assert not (runs / "mine").exists()


def test_new_run_may_use_what_an_early_kill_left(runs: Path) -> None:
    (runs / "paper-1").mkdir()
    for leftover in (".lock", "config.json.tmp"):
        (runs / "paper-1" / leftover).touch()
    assert Run.new(runs, None, "paper").path == runs / "paper-1"
    assert Run.new(runs, "paper-1", "any").path == runs / "paper-1"
    (runs / "paper-1/notes.tmp").touch()
    assert Run.new(runs, None, "paper").path == runs / "paper-2"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("old", "already holds a run; resume it by --resume"),
        ("no-run", "exists but is not an mfd run"),
        ("notes.txt", "exists but is not an mfd run"),
        *((name, "--run takes a name") for name in ("../old", "a/b", "/a", "", ".", "..")),
        *((name, "--run takes a name") for name in (".hidden", "a\nb", "a\x1b[2J", "a\0")),
    ],
)
def test_new_run_refuses_a_name_that_is_in_use_or_is_none(
    runs: Path, name: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Run.new(runs, name, "paper")
    assert str(caught.value).isprintable()


def test_run_that_never_began_is_refused(runs: Path) -> None:
    with pytest.raises(ConfigError, match=r"no run .*nowhere to resume"):
        Run.resume(runs, "nowhere")
    with pytest.raises(ConfigError, match="no run 'nowhere'"):
        Run.find(runs, Path("nowhere"))
    with pytest.raises(ConfigError, match="holds no head"):
        Run.open(runs / "no-run")


def test_unfinished_run_is_offered_where_none_is_finished(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run `mfd train-head`"):
        Run.find(tmp_path / "absent", None)
    for age, name in enumerate("bca"):
        begin(tmp_path, name, finished=False, age=-age)
    with pytest.raises(ConfigError, match=r"no finished run .*resume .*/a by `mfd train-head"):
        Run.find(tmp_path, None)


def test_run_that_has_begun_begins_again_only_to_resume_the_same(runs: Path) -> None:
    run = Run(runs / "broken-off")
    with pytest.raises(TrainingError, match="already holds a run; resume it"):
        run.begin(DESCRIPTION, resume=False)
    run.begin(replace(DESCRIPTION, train=replace(TRAIN, log_every=7)), resume=True)
    assert Run.open(run.path).config.train == TRAIN
    with pytest.raises(TrainingError, match=r"train\.seed is 0, expected 1"):
        run.begin(replace(DESCRIPTION, train=replace(TRAIN, seed=1)), resume=True)


def test_run_is_trained_by_one_process(runs: Path) -> None:
    with (
        Run(runs / "new").lock(),
        pytest.raises(TrainingError, match="is being trained by another process"),
        Run(runs / "new").lock(),
    ):
        pass


def test_loaded_head_is_the_saved_one(runs: Path) -> None:
    run, head = Run.open(runs / "old"), MaskHead(HEAD, SPEC)
    run.save_head(head)
    loaded = run.load_head()
    assert (loaded.config, loaded.spec, loaded.training) == (HEAD, SPEC, False)
    assert loaded.state_dict().keys() == head.state_dict().keys()
    assert all(torch.equal(v, loaded.state_dict()[k]) for k, v in head.state_dict().items())
    assert run.config.categories == {1: "disc", 90: "crêpe"}


def test_head_of_an_unfinished_run_is_refused(runs: Path) -> None:
    run = Run.open(runs / "broken-off")
    with pytest.raises(ConfigError, match="finish its training"):
        run.load_head()
    run.keep_best(MaskHead(HEAD, SPEC))
    with pytest.raises(ConfigError, match=r"take .*/broken-off/best, its best head so far, or"):
        run.load_head()
    run.best.load_head()


def test_head_with_damaged_weights_is_refused(runs: Path) -> None:
    weights = runs / "old/head.safetensors"
    weights.write_bytes(weights.read_bytes()[:-20])
    with pytest.raises(ConfigError, match=r"head\.safetensors is damaged"):
        Run.open(runs / "old").load_head()


def test_head_with_a_changed_byte_is_refused(runs: Path) -> None:
    run = Run.open(runs / "old")
    run.save_head(MaskHead(HEAD, SPEC))
    weights = runs / "old/head.safetensors"
    content = weights.read_bytes()
    rng = random.Random(5)
    header = 8 + int.from_bytes(content[:8], "little")
    places = [*range(0, header, 5), *rng.choices(range(header, len(content)), k=60)]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= rng.randrange(1, 256)
        weights.write_bytes(damaged)
        try:
            found = run.load_head().state_dict()
        except ConfigError:
            continue
        else:  # a blank of the header
            weights.write_bytes(content)
            assert content[place : place + 1] == b" "
            assert all(torch.equal(v, found[k]) for k, v in run.load_head().state_dict().items())


def test_head_of_an_earlier_mfd_without_a_digest_is_loaded(runs: Path) -> None:
    head = MaskHead(HEAD, SPEC)
    save_file(head.state_dict(), runs / "old/head.safetensors", {"format": "pt"})
    loaded = Run.open(runs / "old").load_head().state_dict()
    assert all(torch.equal(v, loaded[k]) for k, v in head.state_dict().items())


def test_head_with_the_weights_of_another_is_refused(runs: Path) -> None:
    save_file(MaskHead(replace(HEAD, box_dim=6), SPEC).state_dict(), runs / "old/head.safetensors")
    with pytest.raises(ConfigError, match=r"does not fit .*mapper\.weight.*one training"):
        Run.open(runs / "old").load_head()


@pytest.mark.parametrize(("field", "value"), [("dim", 0), ("dim", -4), ("c1_channels", -1)])
def test_head_of_an_impossible_detector_is_refused(runs: Path, field: str, value: object) -> None:
    path = runs / "old/config.json"
    content = json.loads(path.read_text())
    content["spec"][field] = value
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError) as caught:
        Run.open(runs / "old").load_head()
    assert "\n" not in str(caught.value)


def test_cost_is_read_as_written(runs: Path) -> None:
    run = Run(runs / "old")
    assert run.cost() == {}
    run.write_cost({"training": {"seconds": 1.5}})
    assert run.cost() == {"training": {"seconds": 1.5}}
    (run.path / "cost.json").write_text("[")
    with pytest.raises(ConfigError, match=r"cost\.json is damaged"):
        run.cost()


def test_evaluations_are_kept_by_split_and_store(runs: Path) -> None:
    run = Run(runs / "old")
    assert evaluations_of(run) == []
    for split, ap in (("val", 0.25), ("train", 0.5)):
        folder = evaluation_dir(run, split, "tiny-ab12")
        assert not folder.exists()
        folder.mkdir(parents=True)
        (folder / "evaluation.json").write_text(json.dumps({"mask_ap": ap}))
    (run.path / "evaluation.json").write_text('{"mask_ap": 0.125}')  # before schema 2
    (damaged := evaluation_dir(run, "test", "x")).mkdir()
    (damaged / "evaluation.json").write_text('{"mask_')
    assert evaluations_of(run) == [
        ("train-tiny-ab12", {"mask_ap": 0.5}),
        ("val-tiny-ab12", {"mask_ap": 0.25}),
        ("unnamed", {"mask_ap": 0.125}),
    ]


@pytest.mark.parametrize("split", ["../val", "a/b", "", ".."])
def test_evaluation_of_a_split_that_is_no_name_is_refused(runs: Path, split: str) -> None:
    with pytest.raises(ConfigError, match="is not a valid name"):
        evaluation_dir(Run(runs / "old"), split, "tiny")
