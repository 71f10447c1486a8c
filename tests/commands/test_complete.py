"""`mfd extract` on a store that is complete."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from mfd import files
from mfd.cache.store.lock import writer_lock
from mfd.cli import main


def test_a_complete_store_may_be_read_only_or_in_use(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(path: Path, *arguments: Any, **named: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    (store,) = (project / "stores").glob("*-val-*")
    for memory in (project / "stores").glob(".digests-*"):
        memory.unlink()
    with writer_lock(store), monkeypatch.context() as patch:
        patch.setattr(files, "write_atomically", read_only)
        patch.setattr(Path, "mkdir", read_only)
        assert main(["extract", "--split", "val"]) == 0
    assert "complete: nothing was left to do" in capsys.readouterr().err
