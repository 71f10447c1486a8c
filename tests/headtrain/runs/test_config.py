"""What `config.json` says, and that nothing it can hold ends in a traceback."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from mfd.config import DetectorChoice
from mfd.errors import ConfigError
from mfd.headtrain.runs.config import RunConfig, anywhere, read_config
from tests.builders.runs import HEAD, SPEC, TRAIN

CONFIG = RunConfig(
    head=HEAD,
    spec=SPEC,
    detector=DetectorChoice("tiny", "tiny.pth", 2),
    categories={1: "disc", 90: "crêpe"},
    train=TRAIN,
    preset="paper",
    source={"kind": "stored", "path": "a", "identity": "ab", "targets": {"path": "b", "size": 3}},
)
# as the version before schema numbers wrote it
OLD: dict[str, Any] = {
    "mfd": "0.1.0",
    "head": asdict(HEAD),
    "detector": SPEC.to_json(),
    "categories": {"1": "disc", "90": "crêpe"},
    "train": asdict(TRAIN),
    "features": {"path": "stores/x", "sha256": "ab", "dtype": "float16", "split": "train"},
    "targets": {"path": "stores/targets/x", "crop_size": 32},
    "versions": {"python": "3.11.7", "torch": "2.6"},
}


def read(folder: Path, content: object) -> RunConfig:
    path = folder / "config.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_config(path)


def test_a_config_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert CONFIG.to_json()["schema"] == 2
    assert read(tmp_path, CONFIG.to_json()) == CONFIG


def test_an_old_config_is_read(tmp_path: Path) -> None:
    old = read(tmp_path, OLD)
    assert (old.head, old.train, old.spec) == (HEAD, TRAIN, SPEC)
    assert old.detector == DetectorChoice("tiny", None, None)
    assert old.categories == CONFIG.categories
    assert old.preset is None
    assert old.source["identity"] == "ab"
    assert (old.source["path"], old.source["split"]) == ("stores/x", "train")
    assert old.source["targets"]["crop_size"] == 32
    assert old.versions == {"mfd": "0.1.0", "python": "3.11.7", "torch": "2.6"}


@pytest.mark.parametrize(("before", "now"), [(True, "tensorboard"), (False, "none")])
def test_setting_of_former_runs_for_tensorboard_is_read(
    tmp_path: Path, before: bool, now: str
) -> None:
    content = CONFIG.to_json()
    del content["train"]["log"]
    content["train"]["tensorboard"] = before
    found = read(tmp_path, content)
    assert found.train == replace(TRAIN, log=now)
    assert found.difference(CONFIG) is None


def test_an_old_config_names_the_encoder_layer_of_its_detector(tmp_path: Path) -> None:
    spec = replace(SPEC, encoder_layer=3).to_json()
    assert read(tmp_path, {**OLD, "detector": spec}).detector.encoder_layer == 3


def test_an_old_head_without_a_run_is_read(tmp_path: Path) -> None:
    head = {name: OLD[name] for name in ("mfd", "head", "detector", "categories")}
    found = read(tmp_path, head)
    assert found.train is None
    assert found.source == {}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"preset": None, "detector": DetectorChoice("other")}, None),
        ({"train": replace(TRAIN, log_every=9, readers=5)}, None),
        ({"train": replace(TRAIN, seed=1)}, r"train\.seed is 0, expected 1"),
        ({"head": replace(HEAD, box_layers=2)}, r"head\.box_layers is 1, expected 2"),
        ({"spec": replace(SPEC, weights_digest="0")}, r"spec\.weights_digest"),
        ({"spec": replace(SPEC, category_names=("disc", "ring", "hook"))}, None),
        ({"source": {**CONFIG.source, "path": "moved"}}, None),
        ({"source": {**CONFIG.source, "identity": "cd"}}, r'source\.identity is "ab"'),
        ({"source": {**CONFIG.source, "targets": {"path": "moved", "size": 3}}}, None),
        ({"source": {**CONFIG.source, "targets": {"size": 4}}}, r"source\.targets\.size is 3"),
    ],
)
def test_runs_differ_in_what_determines_the_weights(
    changed: dict[str, Any], expected: str | None
) -> None:
    found = CONFIG.difference(replace(CONFIG, **changed))
    assert (found is None) == (expected is None)
    assert re.search(expected or "", found or "")


def damaged(**changes: object) -> dict[str, Any]:
    return {**CONFIG.to_json(), **changes}


JSON = CONFIG.to_json()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a JSON file"),
        ("\ud800".encode("utf-8", "surrogatepass").decode("latin1") + "{", "not a JSON file"),
        ("[" * 100_000, "not a JSON file"),
        ("[]", "does not describe a head"),
        ("7", "does not describe a head"),
        ({"head": {}}, "does not describe a head"),
        (damaged(schema=3), "has schema 3, this mfd reads 1 to 2; update mfd"),
        (damaged(schema="2"), "has schema '2'"),
        (damaged(schema=True), "has schema True"),
        (damaged(sparkle=1), "sparkle is a field that this mfd does not know"),
        ({**OLD, "sparkle": 1}, "'sparkle' is not a field of a run"),
        (damaged(head={**JSON["head"], "sparkle": True}), "head.sparkle is a field"),
        (damaged(head=[1]), "head"),
        (damaged(head=None), "head"),
        (damaged(head={**JSON["head"], "box_layers": "two"}), "head.box_layers is 'two'"),
        (damaged(head={**JSON["head"], "box_layers": -2}), "head.box_layers is -2"),
        (damaged(head={**JSON["head"], "roi_size": 12}), "roi_size that 8 divides"),
        (damaged(spec={**JSON["spec"], "dim": None}), "spec.dim is None"),
        (damaged(spec={**JSON["spec"], "strides": 4}), "spec.strides is 4"),
        (damaged(spec={**JSON["spec"], "strides": []}), "strides must be given"),
        (damaged(spec={"name": "tiny"}), "spec.dim is missing"),
        (damaged(spec={**JSON["spec"], "preprocessing": {"mean": [1]}}), "spec.preprocessing.mean"),
        (damaged(detector="tiny"), "detector is 'tiny'"),
        (damaged(detector={"name": 3}), "detector.name is 3"),
        (damaged(categories={"one": "disc"}), "categories.one"),
        (damaged(train={"lr": "fast"}), "train.lr is 'fast'"),
        (damaged(source=[]), "source is"),
        ({**OLD, "detector": 4}, "spec is 4"),
        ({**OLD, "features": 4, "versions": 5, "categories": None}, "categories is None"),
        ({name: value for name, value in JSON.items() if name != "spec"}, "spec is missing"),
    ],
)
def test_a_damaged_config_is_refused_in_one_line(
    tmp_path: Path, content: object, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, content)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "config.json") in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


def test_a_folder_without_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no head"):
        read_config(tmp_path / "config.json")
    (tmp_path / "config.json").mkdir()
    with pytest.raises(ConfigError, match="is not a regular file"):
        read_config(tmp_path / "config.json")


def test_a_detector_is_kept_by_paths_that_any_working_folder_can_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    for choice, expected in (
        (DetectorChoice("hdetr-r50", "w/r50.pth", 4), ("hdetr-r50", f"{tmp_path}/w/r50.pth", 4)),
        (DetectorChoice("own.py:make"), (f"{tmp_path}/own.py:make", None, None)),
        (DetectorChoice("hf:model"), (f"hf:{tmp_path}/model", None, None)),
        (DetectorChoice("hf:owner/repo"), ("hf:owner/repo", None, None)),
        (DetectorChoice("x", "https://a.b/c.pth"), ("x", "https://a.b/c.pth", None)),
    ):
        assert anywhere(choice) == DetectorChoice(*expected)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_config_that_is_no_file_is_named_and_not_opened(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path / "config.json")
    with pytest.raises(ConfigError, match=r"config.json is not a regular file"):
        read_config(tmp_path / "config.json")
