from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders.project import small_project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project folder in which extraction and training have run; it is the working folder."""
    with small_project(tmp_path_factory.mktemp("project")) as folder:
        yield folder
