"""Damaged and hostile checkpoints are read or refused in one line: never another error."""

import argparse
import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from mfd.detectors.checkpoint import read_checkpoint
from tests.builders.mutations import HOSTILE, mutated_bytes, require_used_or_named


def tensors() -> dict[str, torch.Tensor]:
    return {"a.weight": torch.randn(5, 3), "a.bias": torch.zeros(5), "n": torch.tensor(7)}


def saved(content: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


FILES: dict[str, Callable[[], bytes]] = {
    "official.pth": lambda: saved({"model": tensors(), "args": argparse.Namespace(lr=1)}),
    "bare.pth": lambda: saved(tensors()),
    "old.pth": lambda: saved(
        {"model": tensors(), "epoch": 3}, _use_new_zipfile_serialization=False
    ),
    "own.safetensors": lambda: save(tensors()),
}


@pytest.mark.filterwarnings("ignore::UserWarning:torch")
@pytest.mark.parametrize("name", FILES)
def test_damaged_checkpoints_are_used_or_named(name: str, tmp_path: Path) -> None:
    whole, chance, path = FILES[name](), random.Random(name), tmp_path / name
    path.write_bytes(whole)
    assert read_checkpoint(path)
    for _ in range(150):
        path.write_bytes(mutated_bytes(whole, chance))
        require_used_or_named(lambda: read_checkpoint(path), name)


@pytest.mark.parametrize("place", ["whole", "model", "entry"])
def test_checkpoints_of_other_content_are_used_or_named(place: str, tmp_path: Path) -> None:
    path = tmp_path / "strange.pth"
    for value in (*HOSTILE, tensors, {3: torch.ones(1)}, {"": torch.ones(1)}, torch.ones(2)):
        if callable(value):
            value = value()
        content = {"whole": value, "model": {"model": value}, "entry": {**tensors(), "x": value}}
        torch.save(content[place], path)
        require_used_or_named(lambda: read_checkpoint(path), path.name)
