"""Checkpoints as the official code writes them, and files that must not be trusted."""

import argparse
import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from mfd.detectors.checkpoint import PUBLISHED, read_checkpoint
from mfd.errors import DetectorError

STATE = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2)}


def _same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return found.keys() == expected.keys() and all(found[k].equal(expected[k]) for k in expected)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_training_checkpoint_gives_its_model_and_may_hold_settings(
    tmp_path: Path, legacy: bool
) -> None:
    parameter = torch.nn.Parameter(torch.zeros(3))
    content = {
        "model": STATE,
        "optimizer": torch.optim.AdamW([parameter]).state_dict(),
        "epoch": 35,
        "args": argparse.Namespace(lr=2e-4, lr_backbone_names=["backbone.0"], sub={"a": None}),
    }
    path = tmp_path / "checkpoint0035.pth"
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    assert _same(read_checkpoint(path).weights, STATE)


def test_a_bare_state_dict_and_averaged_weights_are_read(tmp_path: Path) -> None:
    other = {"a.weight": torch.zeros(1)}
    for name, content, expected in [
        ("bare", STATE, STATE),
        ("averaged", {"ema_model": STATE}, STATE),
        ("both", {"ema_model": other, "model": STATE}, STATE),
    ]:
        torch.save(content, tmp_path / name)
        assert _same(read_checkpoint(tmp_path / name).weights, expected)


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "model.safetensors")
    assert _same(read_checkpoint(str(tmp_path / "model.safetensors")).weights, STATE)


def test_a_published_name_on_another_content_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint0011_4scale.pth"
    torch.save({"model": STATE}, path)
    with pytest.raises(DetectorError, match="the published file of this name 0bcd6b0c33d60ed3"):
        read_checkpoint(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(PUBLISHED, path.name, digest)
    assert _same(read_checkpoint(path).weights, STATE)


class _Code:
    """Creates a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("place", ["beside", "as the model", "plain pickle"])
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path, place: str) -> None:
    code = _Code(tmp_path / "trace")
    path = tmp_path / "evil.pth"
    if place == "plain pickle":
        path.write_bytes(pickle.dumps({"model": code}))
    else:
        torch.save(
            {"model": code} if place == "as the model" else {"model": STATE, "x": code}, path
        )
    with pytest.raises(DetectorError, match="runs no code from a checkpoint") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert not code.trace.exists()


@pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
@pytest.mark.parametrize("kept", [0, 100, -1])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, name: str, kept: int) -> None:
    path = tmp_path / name
    if path.suffix == ".pth":
        torch.save({"model": STATE}, path)
    else:
        save_file(STATE, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DetectorError) as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_checkpoint_is_called_so_in_one_sentence(tmp_path: Path) -> None:
    (text := tmp_path / "notes.pth").write_text("hello")
    torch.save({"model": STATE}, whole := tmp_path / "whole.pth")
    (cut := tmp_path / "cut.pth").write_bytes(whole.read_bytes()[:-100])
    kinds = {text: "truncated, or no checkpoint of PyTorch \\(", cut: "truncated \\("}
    for path, kind in kinds.items():
        with pytest.raises(DetectorError, match=kind) as caught:
            read_checkpoint(path)
        assert ". " not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([1, 2], "has no state dict"),
        ({}, "has no state dict"),
        ({"model": {}}, "has no state dict"),
        ({"epoch": 3, "optimizer": {}}, "has no state dict, only 'epoch', 'optimizer'; expected"),
        ({"model": {"a.weight": [1.0]}}, "has no state dict, only 'model'; expected"),
    ],
)
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, content: Any, problem: str) -> None:
    torch.save(content, tmp_path / "c.pth")
    with pytest.raises(DetectorError, match=problem):
        read_checkpoint(tmp_path / "c.pth")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="no checkpoint at"):
        read_checkpoint(tmp_path / "none.pth")


def test_a_hub_file_comes_from_the_local_copy_when_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def download(repo: str, file: str) -> str:
        asked.append((repo, file))
        save_file(STATE, tmp_path / "local.safetensors")
        return str(tmp_path / "local.safetensors")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    assert _same(read_checkpoint("hf://owner/repo/sub/model.safetensors").weights, STATE)
    assert asked == [("owner/repo", "sub/model.safetensors")]


def test_a_hub_file_that_cannot_be_fetched_is_refused_in_one_line() -> None:
    with pytest.raises(DetectorError, match="connect to the network, or download") as caught:
        read_checkpoint("hf://owner/absent-repository/model.pth")
    assert "\n" not in str(caught.value)


def test_a_malformed_hub_address_is_refused() -> None:
    with pytest.raises(DetectorError, match="expected hf://OWNER/REPO/FILE"):
        read_checkpoint("hf://owner/repo")
