"""Our own detectors are exported whole, head and image encoder included, at open sizes."""

import subprocess
import sys
from pathlib import Path

import pytest

import mfd
from mfd.export.check import TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("names", [["hdetr-resnet"], ["onnx:swin", "onnx:focalnet"]])
def test_families_are_exported_at_all_sizes(names: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.export.families", *names],
        cwd=Path(mfd.__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    said = [line.split(maxsplit=1) for line in ended.stdout.splitlines()]
    assert [name for name, _ in said] == names
    for _, difference in said:
        assert 0 < float(difference) < TOLERANCE, difference
