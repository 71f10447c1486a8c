"""A DINO that somebody trained on five classes of their own, from its checkpoint to masks."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mfd.cli import main
from mfd.demo import CATEGORIES, SceneConfig, generate
from mfd.detectors.backbones.resnet import ResNet
from mfd.detectors.deformable import DeformableDetector, OfficialDetector
from mfd.detectors.demo.detector import demo_config, load_demo
from mfd.detectors.official import OFFICIAL

IDS = sorted(CATEGORIES)[1:6]
"""The demo's categories that the detector keeps; it counts them 0 to 4."""


@dataclass(frozen=True)
class SmallDino(OfficialDetector):
    """DINO at the demo's widths, and with images of the demo's size."""

    def build(
        self, name: str, weights: Mapping[str, Tensor], encoder_layer: int
    ) -> DeformableDetector:
        made = super().build(name, weights, encoder_layer=1)
        made.spec = replace(made.spec, preprocessing=load_demo().spec.preprocessing)
        return made


_CHANGED = {
    "config": demo_config(91),
    "backbone": partial(
        ResNet, stem=16, widths=(32, 64, 96, 120), depths=(1, 2, 2, 1), block="basic"
    ),
    "max_detections": 100,
}
SMALL_DINO = SmallDino(**{**vars(OFFICIAL["dino-r50"]), **_CHANGED})


def checkpoint(path: Path) -> None:
    """The demo's weights for five of its classes, as DINO's code saves them from several GPUs."""
    demo = load_demo()
    columns = [demo.spec.category_ids.index(one) for one in IDS]
    keys = replace(SMALL_DINO, config=demo_config(len(IDS))).key_map()
    state: dict[str, Tensor] = {}
    for name, value in demo.network.state_dict().items():
        if name in keys.names:
            narrower = value.shape != keys.shapes[name]
            value = value[columns] if narrower else value
            state |= dict.fromkeys([f"module.{theirs}" for theirs in keys.names[name]], value)
    torch.save({"model": state, "epoch": 11}, path)


def test_dino_of_five_own_classes_goes_from_its_checkpoint_to_named_masks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(OFFICIAL, "small-dino", SMALL_DINO)
    monkeypatch.chdir(tmp_path)
    names = [CATEGORIES[one][0] for one in IDS]
    generate(tmp_path / "coco", 6, 6, 5, SceneConfig(categories={i: CATEGORIES[i] for i in IDS}))
    checkpoint(tmp_path / "checkpoint0011.pth")
    settings = 'data = "coco"\ndetector = "small-dino"\nweights = "checkpoint0011.pth"\n'
    table = "".join(f'"{name}" = {column}\n' for column, name in enumerate(names))
    Path("mfd.toml").write_text(f"{settings}[categories]\n{table}")

    assert main(["doctor"]) == 0, capsys.readouterr().out
    assert main(["extract"]) == main(["extract", "--split", "val"]) == 0
    assert "5 categories, counted 0 to 4 as in its training" in capsys.readouterr().err
    small = ("roi_size=8", "box_dim=8", "num_heads=2", "epochs=1")
    assert main(["train-head", *(f"--set={s}" for s in small)]) == 0
    capsys.readouterr()
    assert main(["evaluate", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["box_ap"] > 0.4
    assert found["mask_ap"] is not None
    assert {row["name"] for row in found["per_category"]} == set(names)

    image = min((tmp_path / "coco/val2017").iterdir())
    assert main(["predict", str(image), "--out", "seen", "--min-score", "0.1"]) == 0
    shown = json.loads(Path("seen/predictions.json").read_text())
    assert shown
    assert {one["category"] for one in shown} <= set(names)
