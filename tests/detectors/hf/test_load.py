"""Folders and repositories in Transformers' format: what is taken and what is refused."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.utils import logging

from mfd.detectors import load_detector, quiet_transformers, weights_digest
from mfd.errors import DetectorError
from tests.detectors.hf.tiny_models import build, save

WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save("detr", tmp_path)
    return tmp_path


def change_config(folder: Path, **settings: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def test_the_detector_comes_frozen_float32_and_named_as_it_was_asked_for(folder: Path) -> None:
    half = build("detr").half()
    detector = load_detector(save("detr", folder, model=half))
    assert {parameter.dtype for parameter in detector.parameters()} == {torch.float32}
    assert not any(module.training for module in detector.modules())
    assert not any(parameter.requires_grad for parameter in detector.parameters())
    assert detector.spec.name == f"hf:{folder}"
    assert detector.spec.weights_digest == weights_digest(detector)


def test_heads_that_differ_from_layer_to_layer_are_not_tied(tmp_path: Path) -> None:
    model = build("deformable-detr-two-stage")
    heads = [head.weight for head in model.class_embed]
    assert not any(torch.equal(heads[0], head) for head in heads[1:])
    detector = load_detector(save("deformable-detr-two-stage", tmp_path, model=model))
    loaded, saved = detector.model.state_dict(), model.state_dict()
    assert loaded.keys() == saved.keys()
    assert all(torch.equal(loaded[name], saved[name]) for name in saved)


def test_loading_prints_nothing_and_leaves_transformers_as_it_was(folder: Path) -> None:
    shown = io.StringIO()
    with redirect_stdout(shown), redirect_stderr(shown):
        load_detector(f"hf:{folder}")
    assert shown.getvalue() == ""
    before = logging.is_progress_bar_enabled(), logging.get_verbosity()
    with quiet_transformers():
        assert not logging.is_progress_bar_enabled()
    assert before == (logging.is_progress_bar_enabled(), logging.get_verbosity())


@pytest.mark.parametrize("name", ["hf:somebody/nothing-of-that-name", "hf:no/such/folder", "hf:"])
def test_what_is_neither_folder_nor_to_be_fetched_is_refused(name: str) -> None:
    with pytest.raises(DetectorError, match=r"is not a folder, and no repository") as caught:
        load_detector(name)
    assert "://" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["config.json", "preprocessor_config.json", WEIGHTS])
def test_a_folder_that_lacks_a_file_is_refused(missing: str, folder: Path) -> None:
    (folder / missing).unlink()
    with pytest.raises(DetectorError, match=f"has no .*{missing[-6:]}"):
        load_detector(f"hf:{folder}")


def test_pickled_weights_are_not_opened(folder: Path) -> None:
    state = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(DetectorError, match="weights saved by save_pretrained as safetensors"):
        load_detector(f"hf:{folder}")


def test_a_folder_cloned_without_lfs_is_refused(folder: Path) -> None:
    (folder / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n")
    with pytest.raises(DetectorError, match=r"is a Git LFS pointer, .* `git lfs pull`"):
        load_detector(f"hf:{folder}")


def test_code_in_the_folder_is_not_run(folder: Path) -> None:
    (folder / "modeling_own.py").write_text("raise SystemExit('this ran')")
    change_config(folder, auto_map={"AutoModelForObjectDetection": "modeling_own.Own"})
    assert load_detector(f"hf:{folder}").spec.dim == 32


@pytest.mark.parametrize("model_type", ["vilt", None, ["detr"]])
def test_other_model_types_are_refused_with_the_known_ones(model_type: Any, folder: Path) -> None:
    change_config(folder, model_type=model_type)
    with pytest.raises(DetectorError, match="mfd knows detr, conditional_detr, dab-detr"):
        load_detector(f"hf:{folder}")


def test_a_missing_or_misshapen_weight_is_refused_by_name(folder: Path) -> None:
    state = load_file(folder / WEIGHTS)
    name = "class_labels_classifier.bias"
    save_file({key: value for key, value in state.items() if key != name}, folder / WEIGHTS)
    with pytest.raises(DetectorError, match=f"no weights that fit {name}"):
        load_detector(f"hf:{folder}")
    save_file(state | {name: torch.zeros(4)}, folder / WEIGHTS)
    with pytest.raises(DetectorError, match=r"cannot be loaded|no weights that fit"):
        load_detector(f"hf:{folder}")


def test_an_index_that_names_an_absent_shard_is_refused(folder: Path) -> None:
    shard, absent = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    names = list(load_file(folder / WEIGHTS))
    (folder / WEIGHTS).rename(folder / shard)
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, shard) | {names[0]: absent}}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))
    with pytest.raises(DetectorError, match=absent):
        load_detector(f"hf:{folder}")


def test_damaged_files_are_refused(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:1000])
    with pytest.raises(DetectorError, match="cannot be loaded"):
        load_detector(f"hf:{folder}")
    change_config(folder, d_model="wide")
    with pytest.raises(DetectorError, match="cannot be loaded"):
        load_detector(f"hf:{folder}")
    (folder / "config.json").write_text("{")
    with pytest.raises(DetectorError, match=r"config\.json is not a JSON file"):
        load_detector(f"hf:{folder}")


def test_weights_are_refused_because_the_folder_has_them(folder: Path) -> None:
    with pytest.raises(DetectorError, match="comes with its weights"):
        load_detector(f"hf:{folder}", weights="other.pth")


def test_a_model_that_cannot_take_its_own_input_size_is_refused(tmp_path: Path) -> None:
    name = save("rt-detr", tmp_path, size={"height": 100, "width": 128})
    with pytest.raises(DetectorError, match=r"does not run on an image of \(100, 128\)"):
        load_detector(name)
