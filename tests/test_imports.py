"""The direction of imports between the rooms of the package, and that rooms meet at their faces."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mfd

ROOT = Path(mfd.__file__).parent

# What a room may import: everything on the lines above its own, but not its neighbours.
FLOORS = (
    {"errors"},
    {"text", "files", "placeholders", "memory", "prefetch", "stopping"},
    {"distributed"},
    {"progress", "console"},
    {"settings"},
    {"config"},
    {"kernels", "images"},
    {"coco"},
    {"nn"},
    {"detectors"},
    {"cache"},
    {"extract", "headtrain"},
    {"export", "sharing"},
    {"api", "opening"},
    {"doctor", "report", "serve"},
    {"demo"},
    {"commands"},
    {"cli"},
)
FREE = {"__init__", "__main__"}


def imports(path: Path) -> Iterator[str]:
    """The modules and names of mfd that a file imports, dotted."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith("mfd."))
        elif isinstance(node, ast.ImportFrom) and node.module == "mfd":
            yield from (f"mfd.{a.name}" for a in node.names if a.name != "__version__")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mfd."):
            yield str(node.module)


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


FILES = sorted(path for path in ROOT.rglob("*.py") if room_of(path) not in FREE)


def test_every_room_has_a_floor() -> None:
    assert {room_of(path) for path in FILES} == set().union(*FLOORS)


def test_imports_point_down() -> None:
    floor = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in FILES
        for name in imports(path)
        if (other := name.split(".")[1]) != room_of(path) and floor[other] >= floor[room_of(path)]
    ]
    assert not wrong, "\n".join(wrong)


def test_rooms_meet_at_their_faces() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in FILES
        for name in imports(path)
        if name.split(".")[1] != room_of(path) and name.count(".") > 1
    ]
    assert not wrong, "\n".join(wrong)


def test_help_does_not_import_torch() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from mfd.cli import app;"
        "result = CliRunner().invoke(app, ['--help']); assert result.exit_code == 0, result.output;"
        "heavy = {'torch', 'zarr', 'transformers', 'scipy'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
