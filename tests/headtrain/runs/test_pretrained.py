import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mfd.errors import ConfigError, DetectorError
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.runs.pretrained import category_names, check_detector, load_head, save_head
from tests.headtrain.scenes import CONFIG, SPEC

HEAD = replace(CONFIG, box_dim=4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_head(tmp_path / "head", MaskHead(HEAD, SPEC), {1: "disc", 90: "crêpe"})
    return tmp_path / "head"


def test_a_loaded_head_is_the_saved_one(tmp_path: Path) -> None:
    head = MaskHead(HEAD, SPEC)
    save_head(tmp_path, head, {1: "disc", 90: "crêpe"})

    loaded = load_head(tmp_path)

    assert loaded.config == HEAD
    assert loaded.spec == SPEC
    assert not loaded.training
    assert loaded.state_dict().keys() == head.state_dict().keys()
    assert all(torch.equal(v, loaded.state_dict()[k]) for k, v in head.state_dict().items())
    assert category_names(tmp_path) == {1: "disc", 90: "crêpe"}


def test_a_folder_without_a_head_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no head"):
        load_head(tmp_path)


def test_an_unfinished_head_is_refused(folder: Path) -> None:
    (folder / "head.safetensors").unlink()

    with pytest.raises(ConfigError, match="finish its training"):
        load_head(folder)


def test_damaged_weights_are_refused(folder: Path) -> None:
    weights = folder / "head.safetensors"
    weights.write_bytes(weights.read_bytes()[:-20])

    with pytest.raises(ConfigError, match=r"head\.safetensors is damaged"):
        load_head(folder)


def test_weights_of_another_head_are_refused(folder: Path) -> None:
    save_head(folder.parent / "wider", MaskHead(replace(HEAD, box_dim=6), SPEC), {})
    (folder / "head.safetensors").write_bytes(
        (folder.parent / "wider" / "head.safetensors").read_bytes()
    )

    with pytest.raises(ConfigError, match=r"does not fit .*mapper\.weight.*one training"):
        load_head(folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"head": {}}'])
def test_a_config_that_describes_no_head_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)

    with pytest.raises(ConfigError, match=r"config\.json"):
        load_head(folder)


def test_a_field_of_another_version_is_named(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["head"]["sparkle"] = True
    (folder / "config.json").write_text(json.dumps(config))

    with pytest.raises(ConfigError, match="no field 'sparkle'"):
        load_head(folder)


def test_another_detector_is_refused_and_both_are_named() -> None:
    other = replace(SPEC, name="other", weights_digest="12" * 32)

    with pytest.raises(
        DetectorError,
        match=r"trained for nearly \(weights cdcdcdcd\), found other \(weights 12121212\)",
    ):
        check_detector(SPEC, other)


@pytest.mark.parametrize(
    ("field", "value"),
    [("encoder_layer", 3), ("code_version", 2), ("category_ids", (1, 90, 3)), ("strides", (8, 16))],
)
def test_whatever_changes_the_features_is_refused(field: str, value: object) -> None:
    with pytest.raises(DetectorError, match=field):
        check_detector(SPEC, replace(SPEC, **{field: value}))


def test_what_changes_no_feature_is_allowed() -> None:
    check_detector(SPEC, replace(SPEC, name="same by path", max_detections=7))
