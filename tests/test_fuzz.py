"""Mutated mfd.toml files are read or refused in one line: never another error."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from mfd.cli import VERBS
from mfd.commands.options import read_options
from mfd.config import load_project
from tests.builders.mutations import mutated_text, mutated_value, require_used_or_named

SOUND: dict[str, Any] = {
    "data": "coco",
    "detector": "hf:folder",
    "weights": "~/w.pth",
    "encoder_layer": 3,
    "exif": "apply",
    "extract": {"batch_size": 8, "dtype": "int8", "images": "pictures", "strict": True},
    "train-head": {"set": ["lr=1e-4", "epochs=2"], "store": "s", "split": "train"},
    "evaluate": {"per_category": True, "run": "r"},
    "predict": {"min_score": 0.3, "scale": 2, "images": ["a.jpg", "b"]},
}


def toml(content: dict[str, Any]) -> str:
    """The content as TOML, as far as TOML can say it; invalid where it cannot."""
    tables = {key: value for key, value in content.items() if isinstance(value, dict)}
    lines = [f"{key} = {json.dumps(v)}" for key, v in content.items() if key not in tables]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    return "\n".join(lines)


def use(folder: Path) -> None:
    """All that a command does with the file before it begins."""
    file = load_project(folder, commands=(*VERBS, "cache"))
    for name, section in file.sections.items():
        if name in VERBS:
            read_options(VERBS[name].Options, section, {}, file.path)


@pytest.mark.parametrize("seed", range(10))
def test_mutated_settings_are_used_or_named(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    for _ in range(40):
        text = toml(mutated_value(SOUND, chance)).encode()
        if chance.random() < 0.4:
            text = mutated_text(text, chance)
        (tmp_path / "mfd.toml").write_bytes(text)
        require_used_or_named(lambda: use(tmp_path), "mfd.toml")
