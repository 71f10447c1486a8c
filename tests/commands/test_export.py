"""What `mfd export` refuses before any work, in one line; the files are tests/export's concern."""

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import torch

from mfd.cli import main
from mfd.config import DetectorChoice
from mfd.detectors import load_detector
from mfd.headtrain import MaskHead, Run, RunConfig
from tests.builders import tiny
from tests.builders.runs import HEAD


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    name = f"{tiny.__file__}:detector"
    detector = load_detector(name)
    torch.manual_seed(2)
    head = MaskHead(HEAD, detector.spec)
    run = Run(tmp_path / "runs" / "one")
    names = {1: "disc", 3: "ring", 90: "hook"}
    run.begin(RunConfig(head.config, detector.spec, DetectorChoice(name), names), resume=False)
    run.save_head(head)
    return run


def refusal(capsys: pytest.CaptureFixture[str], *options: str, code: int = 1) -> str:
    """The last line of what the command says."""
    assert main(["export", *options]) == code
    said = capsys.readouterr()
    assert not said.out
    assert "Traceback" not in said.err
    return said.err.splitlines()[-1]


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript"])
def test_missing_extra_is_named(
    run: Run, package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec

    def without(name: str) -> ModuleSpec | None:
        return None if name == package else find(name)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    assert refusal(capsys) == (
        f"error: ONNX files need the package {package}; install it by `pip install 'mfd[onnx]'`"
    )
    assert not (run.path / "export").exists()


def test_unknown_format_is_wrong_usage(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert "tflite" in refusal(capsys, "--format", "tflite", code=2)


def test_folder_that_cannot_be_written_is_said_before_any_work(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("export").write_text("a file")
    said = refusal(capsys, "--out", "export")
    assert said.startswith("error: export cannot be written (File exists")
    assert said.endswith("rerun the command")


def test_unfinished_run_is_said(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (run.path / "head.safetensors").unlink()
    assert "there is no finished run under" in refusal(capsys)
    said = refusal(capsys, "one")
    assert "head.safetensors" in said


def test_detector_that_cannot_be_traced_is_refused_with_what_works(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("own.py").write_text("""
from tests.builders.tiny import detector as tiny

def detector(weights=None):
    made = tiny(weights)
    forward = made.forward
    made.forward = lambda images, mask: forward(images if float(images.sum()) else 2 * images, mask)
    return made
""")
    said = refusal(capsys, "--parts", "model", "--detector", "own.py:detector")
    assert said.startswith("error: torch.export cannot trace it (")
    assert said.endswith("; the head alone: --parts head")
    assert not list((run.path / "export").iterdir())
