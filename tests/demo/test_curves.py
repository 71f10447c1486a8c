"""The picture of loss curves."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mfd.demo import curves


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    path = tmp_path / "metrics.jsonl"
    losses = {"loss_bce": 1.0, "loss_dice": 1.0, "loss_iou": 5.0}
    records = [{"epoch": step / 10, **losses} for step in range(30)]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_loss_of_five_is_drawn_high_above_a_loss_of_one(metrics: Path, tmp_path: Path) -> None:
    assert curves.draw_losses(metrics, tmp_path / "losses.png")
    picture = np.asarray(Image.open(tmp_path / "losses.png").convert("RGB"), dtype=int)
    middle = picture[:, 400:800]  # left of the legend
    heights = [np.nonzero(np.abs(middle - colour).sum(-1) < 9)[0].mean() for colour in COLOURS]
    assert heights[1] < heights[0] - 300


COLOURS = ((255, 127, 14), (44, 160, 44))  # matplotlib's second and third: dice and IoU estimate


def test_no_picture_is_drawn_without_matplotlib(
    metrics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curves, "find_spec", lambda _: None)
    assert not curves.draw_losses(metrics, tmp_path / "losses.png")
    assert not (tmp_path / "losses.png").exists()


def test_smoothing_is_the_mean_of_the_last_values() -> None:
    values = np.random.default_rng(0).uniform(size=13).tolist()
    expected = [np.mean(values[max(0, i - 3) : i + 1]) for i in range(13)]
    np.testing.assert_allclose(curves.smoothed(values, window=4), expected)
