"""What the disk refuses, as one line about a store; what a killed writer left there."""

import re
from contextlib import AbstractContextManager
from pathlib import Path

from mfd import files
from mfd.errors import StoreError

_HALF_WRITTEN = re.compile(r"(c(\.\d+)+|\d{6}\.json|(zarr|index|cost(-\d+)?|manifest)\.json)\.tmp")


def half_written(store: Path) -> list[Path]:
    """The temporary files of a killed writer, by their names; of nobody else's."""
    return sorted(f for f in store.rglob("*.tmp") if _HALF_WRITTEN.fullmatch(f.name))


def disk_errors(store: Path) -> AbstractContextManager[None]:
    """`files.disk_errors` of a store; what was committed is safe."""
    return files.disk_errors(store, "rerun the command, finished units are kept", StoreError)
