"""The list of commands and flags, and what errors and signals become."""

import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
import typer

from mfd.cli import app, main

OPTIONS = {
    "extract": "split images annotations profile dtype view batch-size workers precision strict "
    "codec part skip-invalid device data stores detector weights encoder-layer exif file-locks",
    "train-head": "preset set split images annotations val store views mask-fraction "
    "mask-images log live augment finetune run resume skip-invalid device data stores runs "
    "detector weights encoder-layer exif file-locks",
    "sweep": "preset set split images annotations val store views mask-fraction mask-images log "
    "resume json skip-invalid device data stores runs detector weights encoder-layer exif "
    "file-locks",
    "evaluate": "split images annotations store baselines oracles bootstrap compare evaluator "
    "per-category class-agnostic json detector weights skip-invalid device data stores runs exif",
    "predict": "camera run format out min-score min-quality recursive all-categories batch-size "
    "tolerance scale split annotations detector weights device data runs",
    "serve": "run host port min-score detector weights device runs",
    "doctor": "split images annotations data stores runs detector weights encoder-layer exif",
    "estimate": "split images annotations profile dtype view batch-size workers precision strict "
    "measure device data stores detector weights encoder-layer exif",
    "report": "split images annotations out min-score bootstrap skip-invalid data runs",
    "compare": "split images annotations bootstrap json skip-invalid data runs",
    "export": "format out parts detector weights data stores runs",
    "push": "private license runs",
    "presets": "settings json",
    "demo": "out",
    "cache ls": "stores",
    "cache info": "json stores",
    "cache verify": "repair stores file-locks",
    "cache rm": "force stores file-locks",
    "cache gc": "dry-run stores file-locks",
    "cache push": "check stores",
    "cache pull": "stores file-locks",
}


def test_the_commands_and_their_options_are_these() -> None:
    found = {}
    root = typer.main.get_command(app)
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        each = {f"{name} {n}": c for n, c in inner.items()} if inner else {name: command}
        for full_name, leaf in each.items():
            options = [p.opts[0].removeprefix("--") for p in leaf.params if p.opts[0][0] == "-"]
            found[full_name] = " ".join(options)
    assert found == OPTIONS


def test_wrong_usage_exits_with_two() -> None:
    assert main(["extract", "--no-such-flag"]) == 2


def test_a_full_gpu_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 ...")

    monkeypatch.setattr("mfd.commands.options.load_project", full)
    assert main(["extract"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "memory is full (CUDA out of memory); give `extract` a smaller --batch-size" in line


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        (lambda: torch.zeros(2**50), "the memory is full (can't allocate memory: you tried to"),
        (lambda: np.zeros(2**50), "the memory is full (Unable to allocate"),
    ],
)
def test_full_memory_is_said_in_one_line(
    attempt: Callable[[], object],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("mfd.commands.options.load_project", lambda **_: attempt())
    assert main(["extract"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_an_error_of_ones_own_code_is_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr("mfd.commands.options.load_project", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        main(["extract"])


def test_ctrl_c_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt("stopped after step 3; the same command goes on")

    monkeypatch.setattr("mfd.commands.options.load_project", interrupted)
    assert main(["extract"]) == 130
    assert "stopped after step 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "count"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "PASSIVE"}, "0")],
    ids=str,
)
def test_threads_of_pytorch_wait_briefly_unless_the_environment_says_otherwise(
    given: dict[str, str], count: str
) -> None:
    own = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    code = "from mfd.cli import main; main(['--version']); import torch"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**own, **given, "OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
        check=True,
    )
    if "GOMP_SPINCOUNT" not in run.stderr:
        pytest.skip("PyTorch's OpenMP is not GNU's here")
    assert f"GOMP_SPINCOUNT = '{count}'" in run.stderr
