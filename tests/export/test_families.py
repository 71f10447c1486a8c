"""Our own detectors are exported whole, head and image encoder included, at open sizes."""

import subprocess
import sys
from pathlib import Path

import pytest

import mfd
from mfd.export.check import TOLERANCE


@pytest.mark.slow
def test_hdetr_is_exported_whole() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.export.families", "hdetr-resnet"],
        cwd=Path(mfd.__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    name, difference = ended.stdout.split()
    assert name == "hdetr-resnet"
    assert 0 < float(difference) < TOLERANCE
