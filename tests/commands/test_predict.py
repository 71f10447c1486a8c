"""`mfd predict` as a user types it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mfd.cli import main


def test_predict_draws_every_image(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = sorted((project / "coco/val2017").iterdir())[:2]
    assert main(["predict", *map(str, images), "--out", "seen", "--min-score", "0"]) == 0
    written = capsys.readouterr().out.split()
    assert written == ["seen/" + image.name + ".masks.png" for image in images] + [
        "seen/predictions.json"
    ]
    for image in images:
        drawn, original = Image.open(f"seen/{image.name}.masks.png"), Image.open(image)
        plain = original.convert("RGB").resize(drawn.size, Image.Resampling.BICUBIC)
        changed = np.abs(np.asarray(drawn).astype(int) - np.asarray(plain)).max(-1) > 40
        assert changed.mean() > 0.01


def test_predict_takes_detector_and_category_names_from_the_run(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = next((project / "coco/val2017").iterdir())
    (tmp_path / "mfd.toml").write_text('detector = "demo"\n')
    monkeypatch.chdir(tmp_path)
    run = str(project / "runs/first")
    assert main(["predict", str(image), "--run", run, "--out", "seen", "--min-score", "0"]) == 0
    annotations = json.loads((project / "coco/annotations/instances_val2017.json").read_text())
    names = {category["id"]: category["name"] for category in annotations["categories"]}
    found = json.loads(Path("seen/predictions.json").read_text())
    assert found
    assert all(one["category"] == names[one["category_id"]] for one in found)


def test_predict_takes_folders_and_leaves_out_what_is_no_image(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "coco/val2017", "mfd.toml", "--out", "all", "--min-score", "1"]) == 1
    captured = capsys.readouterr()
    assert len(captured.out.split()) == 5 + 1
    assert "left out: mfd.toml is not a whole image" in captured.err
    assert "images: 5, masks of score 1 or more: 0" in captured.err
