"""`mfd train-head --live`, its augmentation and fine-tuning."""

import json
from pathlib import Path

import pytest

from mfd.cli import main
from tests.builders.project import SMALL


def test_live_training_needs_no_store_and_is_resumed_without_the_flag(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def power_cut(*_: object) -> None:
        raise KeyboardInterrupt

    nowhere = ["--stores", "no-stores"]
    with monkeypatch.context() as patch:
        patch.setattr("mfd.headtrain.runs.run.Run.save_head", power_cut)
        assert (
            main(["train-head", "--live", "--augment", "ms", "--run", "live", *SMALL, *nowhere])
            == 130
        )
    assert main(["train-head", "--resume", "--run", "live", *nowhere]) == 0
    assert "the detector took" in capsys.readouterr().err
    config = json.loads(Path("runs/live/config.json").read_text())
    assert (config["source"]["kind"], config["train"]["augment"]) == ("live", "ms")
    assert main(["evaluate", "live"]) == 0


def test_fine_tuning_is_evaluated_and_used_with_its_own_detector(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = ["--detector", "demo", "--stores", "no-stores"]
    tuning = ["--live", "--finetune", "transformer", "--set=epochs=1", "--set=batch_size=9"]
    assert main(["train-head", "--run", "tuned", *SMALL, *tuning, *demo]) == 0
    said = capsys.readouterr().err
    assert "box AP: 0." in said
    assert "after" in said
    assert main(["evaluate", "tuned", "--json"]) == 0
    captured = capsys.readouterr()
    assert "the detector runs on every image" in captured.err
    assert json.loads(captured.out)["box_ap"] > 0.3
    image = str(next((project / "coco/val2017").iterdir()))
    assert main(["predict", image, "--run", "tuned", "--out", "of-tuned", "--min-score", "0"]) == 0


def test_detectors_that_cannot_be_fine_tuned_are_refused_in_one_line(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train-head", "--run", "custom", "--live", "--finetune", "all", *SMALL]) == 1
    assert "covers hdetr-*, dino-*, demo" in capsys.readouterr().err
    assert main(["train-head", "--run", "stored", "--finetune", "all", *SMALL]) == 1
    assert "use `mfd train-head --live`" in capsys.readouterr().err


def test_presets_that_need_the_detector_run_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train-head", "--run", "lsj", "--preset", "lsj", *SMALL]) == 0
    assert "the detector runs on every batch" in capsys.readouterr().err
    assert main(["train-head", "--run", "ft", "--preset", "table16-r50-finetune", *SMALL]) == 1
    assert "covers hdetr-*, dino-*, demo" in capsys.readouterr().err
