"""The direction of imports between the rooms of the package, and that rooms meet at their faces."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import mfd
from mfd.cache import StoreWriter
from tests.builders.features import make_identity

ROOT = Path(mfd.__file__).parent

# What a room may import: everything on the lines above its own, but not its neighbours.
FLOORS = (
    {"errors"},
    {"text", "files", "locks", "placeholders", "memory", "prefetch", "stopping"},
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
    {"opening"},
    {"api"},
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


def without(modules: str, lines: Sequence[str], folder: Path) -> None:
    """Run the commands in a folder, one after the other, and see what they imported."""
    code = (
        "import sys; from typer.testing import CliRunner; from mfd.cli import app\n"
        f"for line in {[line.split() for line in lines]}:\n"
        "    result = CliRunner().invoke(app, line); assert not result.exit_code, result.output\n"
        f"heavy = set({modules.split()}) & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder)


def test_help_and_presets_do_not_import_torch(tmp_path: Path) -> None:
    without("torch zarr transformers scipy", ["--help", "presets", "presets --settings"], tmp_path)


def test_managing_stores_does_not_import_torch(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path / "stores", make_identity()) as writer:
        name = writer.path.name
    lines = ["cache ls", f"cache info {name}", "cache gc", f"cache rm {name}"]
    without("torch transformers scipy", lines, tmp_path)
    assert not writer.path.exists()
