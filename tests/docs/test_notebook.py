"""The notebook runs from its first cell to its last, on tiny data, and its page shows it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tools.notebook import NOTEBOOK, as_markdown, code_cells, run


@pytest.fixture
def notebook() -> Any:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))


def test_notebook_runs_and_draws_masks(notebook: Any, tmp_path: Path) -> None:
    run(notebook, tmp_path, {"TRAIN": 12, "VAL": 4, "EPOCHS": 1})
    printed = [_printed(cell) for cell in code_cells(notebook)]
    assert any("val mask AP" in text for text in printed)
    assert any("Prediction(" in text for text in printed)
    images = [
        output
        for cell in code_cells(notebook)
        for output in cell["outputs"]
        if "image/jpeg" in output.get("data", {})
    ]
    assert len(images) == 1
    assert (tmp_path / "for-cvat/annotations.json").exists()
    assert (tmp_path / "report.html").exists()


def test_page_shows_every_cell_and_what_it_gave() -> None:
    cell: dict[str, Any] = {"cell_type": "code", "source": ["print(6 * 7)\n", "'seen'"]}
    picture = {"cell_type": "code", "source": ["from PIL import Image\n", "Image.new('L', (5, 4))"]}
    notebook = {"cells": [{"cell_type": "markdown", "source": ["# Title"]}, cell, picture]}
    run(notebook, Path())
    page = as_markdown(notebook)
    parts = [
        "# Title",
        "print(6 * 7)",
        "```text\n42\n```",
        "```text\nseen\n```",
        "](data:image/jpeg",
    ]
    places = [page.index(part) for part in parts]
    assert places == sorted(places)


def _printed(cell: dict[str, Any]) -> str:
    return "".join(line for output in cell["outputs"] for line in output.get("text", ()))
