"""Detectors by name, and custom ones from a file."""

from pathlib import Path

import pytest
import torch

from mfd.detectors import load_detector, weights_digest
from mfd.errors import DetectorError

TINY = Path(__file__).parents[1] / "builders" / "tiny.py"


def test_custom_detector_comes_frozen_and_with_the_digest_of_its_weights() -> None:
    detector = load_detector(f"{TINY}:detector")
    assert not detector.training
    assert not any(parameter.requires_grad for parameter in detector.parameters())
    assert detector.spec.weights_digest == weights_digest(detector)
    assert detector.spec.encoder_layer == 0


def test_weights_and_encoder_layer_reach_the_custom_function() -> None:
    first, second = (load_detector(f"{TINY}:detector", weights=w) for w in ("1", "2"))
    assert first.spec.weights_digest != second.spec.weights_digest
    assert load_detector(f"{TINY}:detector", encoder_layer=3).spec.encoder_layer == 3


def test_a_relative_path_counts_from_the_working_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(TINY.parent)
    assert load_detector("tiny.py:detector").spec.name == "tiny"


def test_a_file_may_import_its_neighbours_and_define_dataclasses(tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_own.py").write_text(TINY.read_text())
    (tmp_path / "own.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from neighbour_of_own import TinyDetector\n"
        "@dataclass\n"
        "class Settings:\n"
        "    layer: int = 2\n"
        "def make():\n"
        "    return TinyDetector(Settings().layer)\n"
    )
    assert load_detector(f"{tmp_path}/own.py:make").spec.encoder_layer == 2


@pytest.mark.parametrize(
    ("source", "arguments", "problem"),
    [
        ("def detector(): return 7", {}, "gave a int, expected a torch.nn.Module"),
        ("import torch\ndef detector(): return torch.nn.Identity()", {}, "has the spec None"),
        ("def detector(): pass", {"weights": "w.pth"}, "cannot be called with weights="),
        ("def detector(path): pass", {}, "cannot be called with no arguments"),
        ("def other(): pass", {}, "no function 'detector'"),
    ],
)
def test_a_file_that_breaks_the_contract_is_refused(
    source: str, arguments: dict[str, str], problem: str, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(source)
    with pytest.raises(DetectorError, match=problem):
        load_detector(f"{tmp_path}/own.py:detector", **arguments)


def test_unknown_names_are_refused_with_the_nearest_one() -> None:
    with pytest.raises(DetectorError, match=r"no detector 'dmo'; did you mean 'demo'\?"):
        load_detector("dmo")
    with pytest.raises(DetectorError, match=r"path/to/file\.py:function"):
        load_detector("yolo")
    with pytest.raises(DetectorError, match=r"no file .*absent\.py"):
        load_detector("absent.py:detector")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("\ndef detector(): 1 / 0", "ZeroDivisionError: division by zero (own.py, line 2)"),
        ("import sys\nsys.exit(0)", "own.py cannot be imported: SystemExit: 0 (own.py, line 2)"),
        ("import sys\ndef detector(): sys.exit(3)", "SystemExit: 3 (own.py, line 2)"),
        ("import no_such_package", "No module named 'no_such_package' (own.py, line 1)"),
        ("def detector(:", "cannot be imported: SyntaxError: invalid syntax (own.py, line 1)"),
        ("def detector(): return detector()", "RecursionError: maximum recursion depth"),
        ("def detector(): raise ValueError('one\\ntwo')", "ValueError: one (own.py, line 1)"),
        ("def detector(): raise StopIteration", "failed: StopIteration (own.py, line 1)"),
    ],
)
def test_what_the_users_code_raises_is_one_line_with_its_place(
    source: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(source)
    with pytest.raises(DetectorError) as caught:
        load_detector(f"{tmp_path}/own.py:detector")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_ctrl_c_in_the_users_code_is_no_fault_of_it(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def detector(): raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_detector(f"{tmp_path}/own.py:detector")


def test_the_detector_is_moved_to_the_device() -> None:
    detector = load_detector(f"{TINY}:detector", device=torch.device("meta"))
    assert {parameter.device.type for parameter in detector.parameters()} == {"meta"}
