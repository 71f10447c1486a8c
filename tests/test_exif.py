"""Photographs stored turned, through all commands: `exif` says which pixels their labels are of."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mfd.cache import Store
from mfd.cli import main
from mfd.demo import generate
from tests.builders.figures import untimed

TURNS = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}
"""An EXIF orientation, and how pixels are stored that it turns upright."""

SMALL = [
    f"--set={s}" for s in ("roi_size=8", "box_dim=8", "num_heads=2", "epochs=2", "warmup_steps=1")
]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    generate(folder / "coco", num_train=4, num_val=6, seed=5)
    (folder / "mfd.toml").write_text('data = "coco"\ndetector = "demo"\n')
    return folder


@pytest.fixture
def copy(plain: Path, tmp_path: Path) -> Callable[[str, bool], Path]:
    def copy(exif: str, stored_turned: bool) -> Path:
        """The project with an orientation in every second file, whose pixels are turned or not."""
        folder = Path(shutil.copytree(plain / "coco", tmp_path / exif / "coco")).parent
        for number, path in enumerate(sorted(folder.rglob("*.jpg"))):
            if number % 2 == 0:
                store(path, 3 if number % 4 else 6, stored_turned)
        (folder / "mfd.toml").write_text((plain / "mfd.toml").read_text() + f'exif = "{exif}"\n')
        return folder

    return copy


def store(path: Path, orientation: int, turned: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.open(path)
    image = image.transpose(TURNS[orientation]) if turned else image.copy()
    image.save(path, "PNG", exif=exif)  # the same pixels to the bit


def figures(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What evaluate prints after extraction and training in the working folder."""
    for split in ("train", "val"):
        assert main(["extract", "--split", split, "--profile", "lite"]) == 0
    assert main(["train-head", "--run", "r", *SMALL]) == 0
    capsys.readouterr()
    assert main(["evaluate", "r", "--json"]) == 0
    return untimed(capsys.readouterr().out)


def test_boxes_and_masks_are_those_of_photographs_that_were_never_turned(
    plain: Path,
    copy: Callable[[str, bool], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(plain)
    expected = figures(capsys)
    assert expected["box_ap"] > 0.5
    for exif, stored_turned in (("apply", True), ("ignore", False)):
        folder = copy(exif, stored_turned)
        monkeypatch.chdir(folder)
        assert figures(capsys) == expected
        assert main(["doctor", "--split", "val"]) == 0
        assert "tried are stored turned" in capsys.readouterr().out


def test_the_wrong_switch_is_named_by_doctor_and_extract(
    copy: Callable[[str, bool], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for exif, stored_turned, right in (("ignore", True, "apply"), ("apply", False, "ignore")):
        monkeypatch.chdir(copy(exif, stored_turned))
        assert main(["doctor", "--split", "val"]) == 1
        assert f'set exif = "{right}" in mfd.toml' in capsys.readouterr().out
        assert main(["extract", "--split", "val", "--strict"]) == 1
        assert f'set exif = "{right}"' in capsys.readouterr().err


def test_the_switch_is_part_of_a_stores_identity_unless_it_changes_nothing(
    copy: Callable[[str, bool], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = copy("apply", True)
    monkeypatch.chdir(folder)
    assert main(["extract", "--split", "val"]) == 0
    (applied,) = (folder / "stores").glob("demo-val-*")
    toml = (folder / "mfd.toml").read_text()
    for text in (toml.replace("apply", "ignore"), toml.replace('exif = "apply"\n', "")):
        (folder / "mfd.toml").write_text(text)
        main(["extract", "--split", "val"])  # images of other sizes than annotated are left out
    (ignored,) = set((folder / "stores").glob("demo-val-*")) - {applied}
    assert Store.open(applied).spec.exif == "apply"
    assert Store.open(ignored).spec.exif == "ignore"

    capsys.readouterr()
    assert main(["evaluate", "--baselines"]) == 1
    assert "2 stores" in capsys.readouterr().err
    assert main(["evaluate", "--baselines", "--exif", "apply"]) == 0
    assert main(["evaluate", "--baselines", "--exif", "apply", "--store", str(ignored)]) == 1
    assert 'was extracted with exif = "ignore", expected "apply"' in capsys.readouterr().err
