"""Masks for a class that the detector does not know, by command."""

import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from itertools import chain
from pathlib import Path

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from examples.balloons import write
from mfd.cli import main
from mfd.coco import ANY_CATEGORY
from mfd.report.results import read_detections

SMALL = [f"--set={s}" for s in ("roi_size=8", "box_dim=8", "num_heads=2", "epochs=2", "lr=3e-3")]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project of balloons and the demo's detector, extracted and trained."""
    folder = tmp_path_factory.mktemp("project")
    write(folder / "data", 8, 6, seed=2)
    (folder / "mfd.toml").write_text('data = "data"\ndetector = "demo"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for split in ("train", "val"):
            assert main(["extract", "--split", split]) == 0
        assert main(["train-head", *SMALL, "--set", "class_agnostic=true", "--run", "any"]) == 0
        yield folder


def test_class_agnostic_ap_is_pycocotools_without_categories(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "any", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["class_agnostic"] is True
    assert printed["box_ap"] > 0.1
    content = json.loads((project / "data/annotations/instances_val2017.json").read_text())
    (folder,) = (project / "runs/any/evaluations").glob("val-*")
    for kind, key in (("bbox", "box_ap"), ("segm", "mask_ap")):
        results = json.loads((folder / f"results_{kind}.json").read_text())
        found = {entry["category_id"] for entry in results}
        assert found <= {2, 3, 5, 8, 13, 21, 34}  # the detector's; pycocotools wants them listed
        content["categories"] = [{"id": each} for each in {1, *found}]
        (project / "truth.json").write_text(json.dumps(content))
        with redirect_stdout(StringIO()):
            truth = COCO(project / "truth.json")
            scored = COCOeval(truth, truth.loadRes(results), kind)
            scored.params.useCats = 0
            scored.evaluate()
            scored.accumulate()
            scored.summarize()
        assert printed[key] == pytest.approx(scored.stats[0], abs=1e-6)


def test_class_agnostic_ap_is_shown_as_such(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "any"]) == 0
    assert "class-agnostic: categories are ignored" in capsys.readouterr().out
    assert main(["evaluate", "--baselines", "--class-agnostic", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mask_ap_filled_boxes"] > 0


def test_class_agnostic_runs_are_reported_without_categories(project: Path) -> None:
    assert main(["evaluate", "any"]) == 0
    assert main(["report", "any", "--min-score", "0.05"]) == 0
    (folder,) = (project / "runs/any/evaluations").glob("val-*")
    detections = chain.from_iterable(read_detections(folder, 0.05, class_agnostic=True).values())
    assert {each.category_id for each in detections} == {ANY_CATEGORY}
    page = (project / "report.html").read_text()
    assert not any(name in page for name in ("crescent", "gear", "comb"))


def test_class_agnostic_predictions_have_the_detectors_names(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "data/val2017", "--run", "any", "--min-score", "0.05"]) == 0
    found = json.loads(Path("predictions/predictions.json").read_text())
    assert found
    names = {"ring", "star", "crescent", "gear", "cross", "comb", "blob"}
    assert {one["category"] for one in found} <= names
