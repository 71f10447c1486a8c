"""`mfd extract`, `mfd evaluate` and `mfd doctor` as a user types them."""

import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mfd import detectors
from mfd.cache import Store
from mfd.cli import main
from tests.headtrain.evaluation.test_sam import tiny_sam


def test_evaluate_prints_what_pycocotools_finds_in_the_results(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "first", "--json", "--baselines"]) == 0
    printed = json.loads(capsys.readouterr().out)
    for kind, key in (("bbox", "box_ap"), ("segm", "mask_ap")):
        with redirect_stdout(StringIO()):
            truth = COCO(project / "coco/annotations/instances_val2017.json")
            (folder,) = (project / "runs/first/evaluations").glob("val-*")
            results = truth.loadRes(str(folder / f"results_{kind}.json"))
            scored = COCOeval(truth, results, kind)
            scored.evaluate()
            scored.accumulate()
            scored.summarize()
        assert printed[key] == pytest.approx(scored.stats[0], abs=1e-6)
    assert printed["images"] == 5
    assert printed["mask_ap_filled_boxes"] is not None
    assert printed["mask_ap_untrained"] is not None


def test_evaluate_shows_a_table_by_default(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--per-category"]) == 0
    shown = capsys.readouterr().out
    assert "AP75" in shown
    assert "AP by category" in shown


def test_evaluate_shows_another_model_on_the_same_boxes_with_its_seconds(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_sam().save_pretrained(project / "tiny-sam")
    assert main(["evaluate", "first", "--compare", "sam:tiny-sam", "--json"]) == 0
    (row,) = (r for r in json.loads(capsys.readouterr().out)["rows"] if r["group"] == "compared")
    assert (row["name"], row["kind"]) == ("sam:tiny-sam", "segm")
    assert row["seconds"] > 0
    assert 0 <= row["figures"]["ap"] < 1
    assert main(["evaluate", "first", "--compare", "sam:nowhere"]) == 1
    assert "'nowhere' is not a folder, and no repository" in capsys.readouterr().err


def test_compare_prints_the_differences_of_two_runs(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "first"]) == 0
    capsys.readouterr()
    assert main(["compare", "first", "runs/first", "--bootstrap", "20", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["first"], found["second"], found["images"]) == ("first", "first", 5)
    assert found["differences"]["mask_ap"]["difference"] == 0
    assert main(["compare", "first", "first", "--bootstrap", "2"]) == 0
    assert "mask AP75" in capsys.readouterr().out
    assert main(["compare", "first"]) == 1
    assert "1 runs to compare, expected two: `mfd compare" in capsys.readouterr().err
    assert main(["compare", "first", "first", "--split", "train"]) == 1
    assert "has no evaluation on train; run `mfd evaluate" in capsys.readouterr().err


def test_an_extraction_that_is_complete_is_not_paid_for_again(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["extract", "--split", "val"]) == 0
    assert "complete: nothing was left to do" in capsys.readouterr().err


def test_an_extraction_says_and_stores_the_precision_that_the_device_chose(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_a_gpu(device: torch.device, choice: str) -> str:
        return "bfloat16" if choice == "auto" else choice

    monkeypatch.setattr(detectors, "precision_on", on_a_gpu)
    assert main(["extract", "--split", "val", "--stores", "fast"]) == 0
    assert "precision: bfloat16, which this GPU has; --precision" in capsys.readouterr().err
    (path,) = Path("fast").glob("*-bf16-*")
    store = Store.open(path)
    assert store.identity.precision == "bfloat16"
    assert main(["extract", "--split", "val", "--precision", "float32"]) == 0
    assert "complete: nothing was left to do" in capsys.readouterr().err


def test_data_of_ones_own_needs_no_split_names(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ["--images", "coco/val2017", "--annotations", "coco/annotations/instances_val2017.json"]
    assert main(["estimate", *own]) == 0
    assert "5 images" in capsys.readouterr().out
    assert main(["extract", "--split", "birds", *own, "--stores", "others"]) == 0
    assert main(["evaluate", "first", "--split", "birds", *own, "--stores", "others"]) == 0


def test_doctor_prints_every_finding(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--detector", "demo"]) == 0
    assert "BAD" not in capsys.readouterr().out
    assert main(["doctor", "--data", "nowhere", "--detector", "nobody"]) == 1
    assert capsys.readouterr().out.count("BAD") == 3  # two splits, one detector
