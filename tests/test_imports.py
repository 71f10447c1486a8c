"""The direction of imports: cli -> extract, headtrain -> cache, kernels -> leaves."""

import ast
import subprocess
import sys
from pathlib import Path

import mfd

ROOT = Path(mfd.__file__).parent
LEAVES = {"errors", "detector", "coco", "progress"}
ALLOWED = {
    "kernels": LEAVES,
    "cache": LEAVES,
    "extract": LEAVES | {"cache", "kernels"},
    "headtrain": LEAVES | {"cache", "kernels"},
    "demo": LEAVES,
}


def imported_parts(path: Path) -> set[str]:
    """The parts of mfd (first name below the package) that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("mfd.")}


def test_every_part_imports_only_what_lies_below_it() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports mfd.{name}"
        for part, allowed in ALLOWED.items()
        for path in sorted((ROOT / part).rglob("*.py"))
        for name in sorted(imported_parts(path) - allowed - {part, "__version__"})
    ]
    assert not wrong, "\n".join(wrong)


def test_leaves_import_only_leaves() -> None:
    for name in sorted(LEAVES):
        files = [*ROOT.glob(f"{name}.py"), *ROOT.glob(f"{name}/*.py")]
        assert files, name
        for path in files:
            assert imported_parts(path) <= LEAVES, path


def test_help_does_not_import_torch() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from mfd.cli import app;"
        "result = CliRunner().invoke(app, ['--help']); assert result.exit_code == 0, result.output;"
        "heavy = {'torch', 'zarr', 'transformers', 'scipy'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
