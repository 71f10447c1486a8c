"""A small generated data set, and what doctor says of it when something is wrong with it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mfd.config import Project
from mfd.demo import generate
from mfd.doctor.examine import examine

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    generate(folder, num_train=5, num_val=9, seed=4)
    return folder


@pytest.fixture
def faults(data: Path, tmp_path: Path) -> Callable[..., str]:
    """The lines that are not good for the demo's detector and val images, annotations edited."""

    def faults(edit: Edit, images: Path = data / "val2017", detector: str = "demo") -> str:
        content = json.loads((data / "annotations/instances_val2017.json").read_text())
        edit(content)
        (tmp_path / "edited.json").write_text(json.dumps(content))
        project = Project(stores=tmp_path / "stores", detector=detector)
        found = examine(project, None, images, tmp_path / "edited.json")
        return "\n".join(finding.text for finding in found if not finding.good)

    return faults


@pytest.fixture
def images(data: Path, tmp_path: Path) -> Path:
    """A copy of the val images, to be changed."""
    return Path(shutil.copytree(data / "val2017", tmp_path / "images"))
