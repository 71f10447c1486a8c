"""A disk that is really full: what is said, and that the command named there goes on."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mfd.cli import main
from tests.builders.project import SMALL, stored
from tests.headtrain.inference.test_video import make

Disk = Callable[[str], Path]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Sets the size of a file system of its own, and returns its folder."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(*options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", *options, "tmpfs", str(folder)]
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            return False

    if not mount("size=4k"):
        pytest.skip("file systems cannot be mounted here, so none can be filled")

    def resize(size: str) -> Path:
        assert mount(f"remount,size={size}")
        return folder

    yield resize
    # lazily: a reader that failed may keep a file of it open until it is collected
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of the error."""
    capsys.readouterr()
    assert main(command) == 1
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    (line,) = (line for line in captured.err.splitlines() if line.startswith("error: "))
    return line


def test_extract_goes_on_when_there_is_room(
    project: Path, disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    stores = disk("48k") / "stores"
    command = ["extract", "--split", "val", "--stores", str(stores)]
    line = refused(command, capsys)
    assert str(stores) in line
    assert "(No space left on device" in line
    assert "make room and rerun the command, finished units are kept" in line
    disk("8m")
    assert main(command) == 0
    (made,), sound = stores.glob("tiny-val-*"), stored(project, "val")
    for file in sound.rglob("c.*"):
        assert (made / file.relative_to(sound)).read_bytes() == file.read_bytes()


@pytest.mark.parametrize("size", ["4k", "300k"])  # nothing but the settings fits; no checkpoint
def test_training_is_resumed_when_there_is_room(
    size: str, project: Path, disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = disk(size) / "runs"
    line = refused(["train-head", "--run", "n", "--runs", str(runs), *SMALL], capsys)
    assert line.startswith(f"error: {runs}/n cannot be written (No space left on device")
    assert line.endswith("make room and resume it by `mfd train-head --resume --run n`")
    disk("8m")
    assert main(["train-head", "--resume", "--run", "n", "--runs", str(runs)]) == 0
    name = "head.safetensors"
    assert (runs / "n" / name).read_bytes() == (project / "runs/first" / name).read_bytes()


def test_figures_are_printed_though_they_cannot_be_written(
    project: Path, disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = disk("4m") / "runs"
    assert main(["train-head", "--run", "n", "--runs", str(runs), *SMALL]) == 0
    status = os.statvfs(runs)
    filler = runs / "filler"
    filler.write_bytes(bytes(status.f_bavail * status.f_bsize))
    capsys.readouterr()
    assert main(["evaluate", "n", "--runs", str(runs), "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["box_ap"] >= 0
    assert f"{runs}/n/evaluations/val-" in captured.err
    assert "make room and rerun the command; its figures are printed above" in captured.err
    assert not list(runs.rglob("*.tmp"))


def test_predict_names_the_video_that_has_no_room(
    project: Path, disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    out = disk("8k") / "seen.mp4"
    make(project / "clip.mp4", (192, 128))
    line = refused(["predict", "clip.mp4", "--out", str(out), "--min-score", "0"], capsys)
    assert line.startswith(f"error: {out} cannot be written (No space left on device")
    assert line.endswith("make room and rerun the command")
    assert not list(out.parent.glob("*seen*mp4"))


def test_predict_and_report_name_what_is_full(
    project: Path, disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    out = disk("8k") / "out"
    line = refused(["predict", "coco/val2017", "--out", str(out), "--min-score", "0"], capsys)
    assert line.startswith(f"error: {out} cannot be written (No space left on device")
    assert line.endswith("make room and rerun the command; pictures that are there are whole")
    assert main(["evaluate", "first"]) == 0
    line = refused(["report", "first", "--out", str(out / "r.html")], capsys)
    assert line.startswith(f"error: {out}/r.html cannot be written (No space left on device")
