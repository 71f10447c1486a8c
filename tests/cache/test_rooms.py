"""The floors inside the cache: format below store below manage below remote."""

import ast
from pathlib import Path

import pytest

import mfd.cache

ROOT = Path(mfd.cache.__file__).parent
ROOMS = ("format", "store", "manage", "remote")


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_down(room: str) -> None:
    above = ROOMS[ROOMS.index(room) + 1 :]
    files = list((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mfd.cache"):
                place = (node.module or "").split(".")[2:3]
                assert place, f"{path} imports the face of its own room"
                assert place[0] not in above, f"{path} imports {node.module}"
