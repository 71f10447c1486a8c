"""A head that is passed on: its folder, its model card, and the way through the Hub and back."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file

from mfd import MaskFrozenDETR
from mfd.config import DetectorChoice
from mfd.detectors import load_detector
from mfd.errors import ConfigError
from mfd.headtrain import (
    HeadConfig,
    MaskHead,
    Run,
    RunConfig,
    evaluation_dir,
    evaluations_of,
)
from mfd.sharing.card import model_card
from tests.sharing.hub_server import TOKEN, serve_hub

HEAD = HeadConfig(image_layers=0, box_layers=1, box_dim=8, roi_size=8, num_heads=2, num_points=1)
FIGURES = {"split": "val", "images": 80, "box_ap": 0.6442, "mask_ap": 0.5304, "mask_ap50": None}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of the demo detector whose record has paths of this machine."""
    spec = load_detector("demo").spec
    run = Run(tmp_path_factory.mktemp("runs") / "mine")
    config = RunConfig(
        HEAD,
        spec,
        DetectorChoice("demo"),
        spec.names,
        preset="paper",
        source={
            "kind": "stored",
            "path": "/home/ada/stores/one",
            "split": "train",
            "images": {"count": 240},
            "others": {"1": {"path": "/home/ada/stores/two", "view": "flip"}},
        },
    )
    run.begin(config, resume=False)
    run.write_cost({"extraction": {"seconds": 40, "bytes": 10**6, "weights": "/home/ada/r50.pth"}})
    folder = evaluation_dir(run, "val", "store")
    folder.mkdir(parents=True)
    (folder / "evaluation.json").write_text(json.dumps(FIGURES))
    run.save_head(MaskHead(HEAD, spec))
    return run


def header_of(card: str) -> dict[str, object]:
    _, header, _ = card.split("---\n", 2)
    return yaml.safe_load(header)


def predictions(model: MaskFrozenDETR) -> list[tuple[object, ...]]:
    picture = np.random.default_rng(0).integers(0, 256, (75, 110, 3), np.uint8)
    found = model(picture, min_score=0.0)
    assert found
    return [(p.category_id, p.class_score, p.quality, p.rle["counts"]) for p in found]


def test_saved_folder_predicts_the_same(run: Run, tmp_path: Path) -> None:
    model = MaskFrozenDETR.from_pretrained(run.path)
    model.save_pretrained(tmp_path / "saved")
    assert predictions(MaskFrozenDETR.from_pretrained(tmp_path / "saved")) == predictions(model)
    assert evaluations_of(Run.open(tmp_path / "saved")) == evaluations_of(run)


def test_saved_folder_names_no_folder_of_this_machine(run: Run, tmp_path: Path) -> None:
    MaskFrozenDETR.from_pretrained(run.path).save_pretrained(tmp_path / "saved")
    texts = [p.read_text() for p in (tmp_path / "saved").rglob("*") if p.suffix in (".json", ".md")]
    assert len(texts) == 4
    assert not [text for text in texts if "/home/ada" in text]


def test_card_says_what_the_head_is(run: Run, tmp_path: Path) -> None:
    model = MaskFrozenDETR.from_pretrained(run.path)
    model.save_pretrained(tmp_path / "saved", licence="cc-by-4.0")
    card = (tmp_path / "saved" / "README.md").read_text()
    assert header_of(card)["license"] == "cc-by-4.0"
    assert header_of(card)["library_name"] == "mfd"
    assert run.config.spec.weights_digest in card
    assert "| val | 80 | masks | 0.530 | - |" in card
    assert "| extraction | 40 s | 1 MB |" in card
    assert "240 images, views `base`, `flip`" in card


def test_card_of_a_model_without_a_run_says_what_is_unknown(tmp_path: Path) -> None:
    detector = load_detector("demo")
    model = MaskFrozenDETR(detector, MaskHead(HEAD, detector.spec).eval(), {})
    model.save_pretrained(tmp_path / "saved")
    card = (tmp_path / "saved" / "README.md").read_text()
    assert "Not evaluated." in card
    assert "None was given" in card
    assert "license" not in header_of(card)
    assert predictions(MaskFrozenDETR.from_pretrained(tmp_path / "saved")) == predictions(model)


def test_card_contains_no_markup_of_category_names(run: Run, tmp_path: Path) -> None:
    names = {next(iter(run.spec.category_ids)): "<b>`x`</b>\n# title"}
    spec = replace(run.spec, category_names=())
    config = RunConfig(HEAD, spec, DetectorChoice("demo"), names)
    card = model_card(config, [], {}, name="a | <b>", licence=None, with_detector=False)
    assert "`<b>'x'</b>\\n# title`" in card
    assert "\n# a \\| &lt;b\\>\n" in card


@pytest.mark.parametrize("licence", ["", "mine: [x]", "a\nb"])
def test_licence_must_be_an_identifier(run: Run, tmp_path: Path, licence: str) -> None:
    model = MaskFrozenDETR.from_pretrained(run.path)
    with pytest.raises(ConfigError, match="expected an identifier such as"):
        model.save_pretrained(tmp_path / "saved", licence=licence)
    assert not (tmp_path / "saved").exists()


def test_folder_in_use_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("all of it")
    with pytest.raises(ConfigError, match="not an empty folder"):
        MaskFrozenDETR.from_pretrained(run.path).save_pretrained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def on_hub(code: str, address: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a program whose Hub is the one at `address`."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": address,
        "HF_HOME": str(home),
        "HF_TOKEN": TOKEN,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_pushed_run_comes_back_from_the_hub(run: Run, tmp_path: Path) -> None:
    code = f"""
from mfd import MaskFrozenDETR
from mfd.cli import main
assert main(["push", {str(run.path)!r}, "ada/masks", "--private", "--license", "mit"]) == 0
model = MaskFrozenDETR.from_pretrained("hf://ada/masks")
model.save_pretrained({str(tmp_path / "back")!r})
assert model.push_to_hub("ada/masks", private=True, licence="mit").endswith("/ada/masks")
assert main(["push", {str(run.path)!r}, "masks"]) == 1
try:
    MaskFrozenDETR.from_pretrained("hf://ada/nothing")
except ValueError as error:
    print(error)
"""
    with serve_hub() as hub:
        done = on_hub(code, hub.address, tmp_path / "home")
    assert done.returncode == 0, done.stderr + str(hub.calls)
    evaluation = "evaluations/val-store/evaluation.json"
    weights = ["config.json", "cost.json", evaluation, "head.safetensors", "README.md"]
    assert set(hub.files) - {".gitattributes"} == set(weights)
    assert hub.private is True
    assert header_of(hub.files["README.md"].decode())["license"] == "mit"
    uploaded = load_file(run.path / "head.safetensors")
    back = load_file(tmp_path / "back" / "head.safetensors")
    assert all((back[name] == tensor).all() for name, tensor in uploaded.items())
    assert f"{hub.address}/ada/masks" in done.stdout
    assert "'masks' is no repository of the Hub; expected user/repository" in done.stderr
    assert "hf://ada/nothing cannot be downloaded" in done.stdout
    assert done.stdout.count("\n") == 2
