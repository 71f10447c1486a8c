"""What cannot be done is said in one line."""

import sys
from pathlib import Path

import pytest

from mfd.cli import main
from tests.builders.project import SMALL, stored, too_early

VAL = "coco/annotations/instances_val2017.json"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["train-head", "--run", "first", *SMALL], "already holds a run"),
        (["train-head", "--set", "roi_sise=8"], "did you mean 'roi_size'"),
        (["train-head", "--set", "epoch=8"], "did you mean 'epochs'"),
        (["train-head", "--resume", "--run", "nowhere"], "no run runs/nowhere to resume"),
        (["train-head", "--run", "a/b"], "--run takes a name"),
        (["train-head", "--run", "new", "--set", "roi_size=8", "--preset", "plain"], "neck=true"),
        (["train-head", "--set", "roi_size"], "field=value"),
        (["train-head", "--augment", "flip"], "use `mfd train-head --live`"),
        (["train-head", "--preset", "papper"], "did you mean 'paper'"),
        (["train-head", "--resume"], "no unfinished run"),
        (["train-head", "--preset", "encoder-layer-6"], "no store under stores with"),
        (["train-head", "--split", "val2"], "no store"),
        (["train-head", "--views", "base,ms:9"], "run `mfd extract --split train --view ms:9`"),
        (["train-head", "--mask-fraction", "0.1", "--mask-images", "x"], "give one"),
        (["train-head", "--mask-fraction", "0"], "mask_fraction must be more than 0"),
        (["train-head", "--mask-images", "own.py"], "own.py names"),
        (["train-head", "--views", "base,zoom"], "there is no view 'zoom'"),
        (["train-head", "--views", "base,flip", "--store", "x"], "leave one of them out"),
        (["train-head", "--views", "flip", "--live"], "--live does without"),
        (["train-head", "--val", "nowhere", *SMALL], "no store under stores with"),
        (["train-head", "--val", "none", *SMALL, "--set=patience=2"], "nothing to validate on"),
        (["evaluate", "nowhere"], "no run 'nowhere'"),
        (["extract", "--split", "test"], "no split 'test'"),
        (["extract", "--view", "zoom"], "there is no view 'zoom'; known: base, flip"),
        (["extract", "--view", "ms"], "give a seed, as in ms:0"),
        (["extract", "--detector", "hdter-r50"], "did you mean 'hdetr-r50'"),
        (["extract", "--data", "nowhere"], "there is no folder nowhere"),
        (["extract", "--data", "runs"], "neither as COCO (annotations/instances_train2017.json)"),
        (["extract", "--dtype", "coarse"], "give --codec zstd too"),
        (["extract", "--images", "runs"], "holds none of the 18 images"),
        (["extract", "--stores", "mfd.toml"], "mfd.toml is not a folder"),
        (["predict", "nothing.jpg"], "no image nothing.jpg"),
        (["predict", "mfd.toml"], "is not a whole image"),
        (["predict", "runs"], "runs holds no image file"),
        (["predict", "coco/val2017", "--out", "mfd.toml"], "File exists"),
        (["extract", "--device", "cuda:99"], "cannot be used"),
        (["extract", "--device", "gpu"], "expected auto, cpu, cuda"),
        (["cache", "info", "nowhere"], "nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_done_is_said_in_one_line(
    project: Path, capsys: pytest.CaptureFixture[str], command: list[str], message: str
) -> None:
    assert main(command) == 1
    captured = capsys.readouterr()
    (line,) = (line for line in captured.err.splitlines() if line.startswith("error: "))
    assert message in line
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("command", [["train-head", *SMALL], ["sweep", "a:lr=1", *SMALL]])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--val", "nowhere"], "no store under stores with"),
        (["--val", "./nowhere"], "nowhere"),
        (["--val", "none", "--set=patience=2"], "nothing to validate on"),
        (["--set=graphs=true", "--device", "cpu"], "graphs=true records CUDA graphs"),
        (["--log", "trackio"], "--log trackio needs a package that is not installed"),
        (["--runs", "mfd.toml"], "mfd.toml is not a folder"),
        (["--images", "coco/val2017", "--annotations", VAL], "does not list image"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_trained_is_refused_before_targets_are_built(
    project: Path,
    command: list[str],
    given: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = sorted(Path("runs").iterdir())
    monkeypatch.setitem(sys.modules, "trackio", None)  # as if it were not installed
    monkeypatch.setattr("mfd.headtrain.build_targets", too_early)
    assert main([*command, *given]) == 1
    assert message in capsys.readouterr().err
    assert sorted(Path("runs").iterdir()) == before


@pytest.mark.parametrize("command", [["evaluate", "first"], ["evaluate", "--runs", "none"]])
def test_a_store_that_is_not_there_is_refused_before_annotations_are_read(
    project: Path,
    command: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("mfd.opening.open_dataset", too_early)
    assert main([*command, "--baselines", "--store", "nowhere"]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_a_printed_table_is_whole_in_a_file(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cache", "ls"]) == 0
    assert stored(project, "train").name in capsys.readouterr().out
    assert main(["cache", "ls", "--stores", "nowhere"]) == 0
    assert "no store under nowhere" in capsys.readouterr().err


def test_another_detectors_head_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = next((project / "coco/val2017").iterdir())
    assert main(["predict", str(image), "--run", "first", "--weights", "7"]) == 1
    assert "the head was trained for tiny (weights" in capsys.readouterr().err
