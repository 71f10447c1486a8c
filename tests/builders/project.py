"""A project folder with a small custom detector, in which the commands run."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mfd.cli import main
from mfd.demo import generate

DETECTOR = """
from dataclasses import replace
from tests.builders.tiny import detector as tiny

def detector(weights=None):
    made = tiny(weights)
    made.spec = replace(made.spec, name="tiny", category_ids=({ids}))
    return made
"""
SMALL = [f"--set={s}" for s in ("roi_size=8", "box_dim=8", "num_heads=2", "epochs=2", "lr=1e-3")]


@contextmanager
def small_project(folder: Path) -> Iterator[Path]:
    """The working folder, in which extraction and training have run."""
    generate(folder / "coco", num_train=18, num_val=5, seed=3)
    annotations = json.loads((folder / "coco/annotations/instances_val2017.json").read_text())
    ids = ", ".join(str(category["id"]) for category in annotations["categories"][3:6])
    (folder / "own.py").write_text(DETECTOR.format(ids=ids))
    (folder / "mfd.toml").write_text('data = "coco"\ndetector = "own.py:detector"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["extract", "--split", "train"]) == 0
        assert main(["extract", "--split", "val"]) == 0
        assert main(["train-head", "--run", "first", *SMALL]) == 0
        yield folder


def too_early(*_: object, **__: object) -> None:
    """In the place of long work that is not to begin."""
    raise AssertionError("long work began")


def stored(project: Path, split: str) -> Path:
    """The store of a split."""
    (found,) = (project / "stores").glob(f"tiny-{split}-base-full-*")
    return found
