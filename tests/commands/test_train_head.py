"""`mfd train-head` as a user types it."""

import json
import re
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

from mfd.cli import main
from tests.builders.project import DETECTOR, SMALL, stored, too_early


def test_store_of_another_layer_than_the_presets_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(stored(project, "train"))
    assert main(["train-head", "--preset", "encoder-layer-6", "--store", store]) == 1
    assert "expected layer 6; run `mfd extract --encoder-layer 6`" in capsys.readouterr().err


def test_a_detector_without_c1_gets_a_head_without_it_and_is_told(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = DETECTOR.format(ids="1, 2, 3").replace(
        "import detector as", "import detector_without_c1 as"
    )
    (project / "vit.py").write_text(source.replace('name="tiny"', 'name="vit"'))
    chosen = ["--detector", "vit.py:detector", "--stores", "vit-stores"]
    for split in ("train", "val"):
        assert main(["extract", "--split", split, *chosen]) == 0
    capsys.readouterr()
    assert main(["train-head", "--run", "vit", *SMALL, *chosen]) == 0
    told = capsys.readouterr().err
    assert "head: focalnet-2-2 (without C1: vit has none finer than its encoder's maps)" in told
    config = json.loads((project / "runs/vit/config.json").read_text())
    assert (config["head"]["use_c1"], config["spec"]["c1_channels"]) == (False, 0)
    weights = load_file(project / "runs/vit/head.safetensors")
    parameters = sum(value.numel() for value in weights.values()) / 1e6
    assert f"{parameters:.2f} M parameters" in told
    assert main(["evaluate", "vit", "--json", "--stores", "vit-stores"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 5
    image = str(next((project / "coco/val2017").iterdir()))
    assert main(["predict", image, "--run", "vit", "--out", "seen-vit", "--min-score", "0"]) == 0
    assert main(["train-head", "--preset", "paper", "--run", "no", *SMALL, *chosen]) == 1
    assert "vit has no stage-1 map C1, which this head adds" in capsys.readouterr().err


def test_a_run_is_gone_on_with_as_it_was_begun(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def power_cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mfd.headtrain.runs.run.Run.save_head", power_cut)
        assert main(["train-head", "--run", "cut", *SMALL]) == 130
    assert main(["train-head", "--resume", "--set", "epochs=3"]) == 1
    assert "train.epochs is 2, expected 3" in capsys.readouterr().err
    assert main(["train-head", "--resume"]) == 0
    weights = [Path(f"runs/{name}/head.safetensors").read_bytes() for name in ("first", "cut")]
    assert weights[0] == weights[1]


def test_training_is_validated_on_the_val_store_and_keeps_its_best_head(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = stored(project, "val").name
    assert main(["train-head", "--run", "seen", *SMALL]) == 0
    said = capsys.readouterr().err
    assert f"validation: 5 images of stores/{store}" in said
    assert "best: runs/seen/best, val mask AP " in said
    lines = [json.loads(line) for line in Path("runs/seen/metrics.jsonl").read_text().splitlines()]
    found = [line for line in lines if "val_mask_ap" in line]
    assert [line["epoch"] for line in found] == [1, 2]
    assert main(["evaluate", "seen/best", "--json"]) == 0
    best = json.loads(capsys.readouterr().out)
    assert best["mask_ap"] == max(line["val_mask_ap"] for line in found)
    assert best["box_ap"] == found[0]["val_box_ap"]


def test_training_without_a_val_store_says_that_it_is_not_validated(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "train-only").mkdir()
    (project / "train-only" / stored(project, "train").name).symlink_to(stored(project, "train"))
    command = ["train-head", "--stores", "train-only", *SMALL, "--set=epochs=1"]
    assert main([*command, "--run", "unseen"]) == 0
    assert "validation: none (no store under train-only with" in capsys.readouterr().err
    val = str(stored(project, "val"))
    assert main([*command, "--run", "unseen-2", "--val", val]) == 0
    assert "validation: 5 images of" in capsys.readouterr().err
    weights = [Path(f"runs/unseen{n}/head.safetensors").read_bytes() for n in ("", "-2")]
    assert weights[0] == weights[1]


def test_a_resumed_run_is_validated_on_what_it_was_begun_with(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = str(stored(project, "train"))
    for run, val in {"val-none": "none", "val-train": train}.items():
        command = ["train-head", "--run", run, *SMALL, "--set=epochs=1", "--val", val]
        assert main(command) == 0
    capsys.readouterr()
    assert main(["train-head", "--resume", "--run", "val-none"]) == 0
    assert "validation:" not in capsys.readouterr().err
    assert main(["train-head", "--resume", "--run", "val-train"]) == 0
    assert re.search(f"validation: .* images of {train}\n", capsys.readouterr().err)
    assert main(["train-head", "--resume", "--run", "val-none", "--val", "val"]) == 0
    assert "validation: 5 images" in capsys.readouterr().err


def test_a_store_that_a_resumed_run_was_validated_on_is_missed_in_words(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path("copied") / stored(project, "train").name
    shutil.copytree(stored(project, "train"), copy)
    command = ["train-head", "--run", "copied", *SMALL, "--set=epochs=1", "--val", str(copy)]
    assert main(command) == 0
    shutil.rmtree(copy)
    capsys.readouterr()
    assert main(["train-head", "--resume", "--run", "copied"]) == 0
    said = capsys.readouterr().err
    assert f"{copy.name}, which the run was validated on, is not there; the val store" in said
    assert "validation: 5 images" in said


def test_a_lite_store_trains_and_evaluates_with_the_detectors_stage_one(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--stores", "lite-stores"]
    assert main(["extract", "--profile", "lite", "--split", "train", *data]) == 0
    assert main(["extract", "--profile", "lite", "--split", "val", *data]) == 0
    assert main(["train-head", "--run", "lite", *SMALL, "--set=epochs=1", *data]) == 0
    assert main(["evaluate", "lite", *data]) == 0
    assert json.loads(next(Path("runs/lite").rglob("evaluation.json")).read_text())["images"] == 5
    monkeypatch.setattr("mfd.headtrain.build_targets", too_early)
    capsys.readouterr()
    given = ["--store", str(next(Path("lite-stores").glob("tiny-train-*"))), "--weights", "7"]
    assert main(["train-head", "--run", "other", "--val", "none", *SMALL, *given]) == 1
    assert "use the detector it was extracted with" in capsys.readouterr().err
