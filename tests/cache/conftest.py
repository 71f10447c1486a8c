"""A finished store of 35 images, made once, and a copy for tests that change it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mfd.cache import StoreWriter
from tests.builders.features import features_of, make_identity


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """A killed process loses nothing of what it wrote, only a power cut would."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session")
def sound_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    with StoreWriter.open(tmp_path_factory.mktemp("stores"), make_identity()) as writer:
        for unit in writer.todo:
            writer.write(unit, features_of(writer.images(unit)))
        return writer.finish()


@pytest.fixture
def store_path(sound_store: Path, tmp_path: Path) -> Path:
    """A copy to be changed."""
    return shutil.copytree(sound_store, tmp_path / sound_store.name)
