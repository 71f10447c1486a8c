"""The wheel: it has every file of the package, and its commands run where only it is installed."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import mfd

ROOT = Path(__file__).parents[1]
NEEDED = """
import mfd, sys
from mfd.detectors import load_detector
from mfd.report.chart import Series, line_chart
assert load_detector("demo").spec.category_ids
assert line_chart([Series("AP", [(0, 0.1), (1, 0.2)])], "epoch", "AP")
print(mfd.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a network from a copy, so that the tree stays clean."""
    pytest.importorskip("pip", reason="pip builds the wheel; `uv venv --seed` installs it too")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "mfd", source / "mfd", ignore=shutil.ignore_patterns("__pycache__"))
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*build, "--no-index", "--wheel-dir", str(folder), str(source)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel alone; what it depends on is this one's."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    install = [sys.executable, "-m", "pip", "--python", str(programs / "python"), "install"]
    install += ["--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, env=without_paths(), check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    # a path in such a file is searched after the environment's own packages
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return programs


def without_paths() -> dict[str, str]:
    """The environment variables, but for those that let Python find this checkout."""
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}


def run_in(programs: Path, *command: str) -> str:
    """What a program of the environment prints, started in its own folder."""
    done = subprocess.run(
        [str(programs / command[0]), *command[1:]],
        cwd=programs,
        env=without_paths(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    files = (path for path in (ROOT / "mfd").rglob("*") if path.is_file())
    expected = {p.relative_to(ROOT).as_posix() for p in files if "__pycache__" not in p.parts}
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == expected


def test_installed_commands_run(installed: Path) -> None:
    assert run_in(installed, "mfd", "--version") == f"mfd {mfd.__version__}\n"
    assert "parameters in millions" in run_in(installed, "mfd", "presets")


def test_installed_package_finds_its_data(installed: Path) -> None:
    where = Path(run_in(installed, "python", "-c", NEEDED).strip())
    assert installed.parent in where.parents
