"""Small annotation files, written for one test."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], tuple[Path, Path]]:
    def write(value: Any) -> tuple[Path, Path]:
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "instances.json").write_text(json.dumps(value))
        return tmp_path / "instances.json", tmp_path / "images"

    return write
